"""The cohort file on one page: HDF5, format 1.

::

    /                          attributes: format, format_version, qctkit_version, fingerprint,
                               window_low_hu, window_high_hu
    /run                       JSON text: what made the file (recipe, options, seed, versions)
    /table/<column>            one value a sample, in order: sample_id, subject_id,
                               source_subject_id, sex ("" when missing), age_years and weight_kg
                               (NaN when missing), side, unit, depth, height, width
    /refused                   JSON texts, one a refused candidate (made cohorts only)
    /samples/<sample_id>/      attributes: sample_id, subject_id, sex, age_years, weight_kg
                               (absent when missing), <attribute>_origin, affine, spacing_mm,
                               unit, scale, calibration_* (see below), side, mask_origin, sha256
        volume                 (D, H, W) int16 or float32, in the unit
        mask                   (D, H, W) uint8, 1 in the femur
        provenance, truth      JSON text
        region                 (D, H, W) uint8, 1 where the recipe may change (made samples only)
        synthesis              JSON text (made samples only)
        parameters/<name>      the edit's parameters, float32 (made samples only)

``scale`` says in words what voxels mean: "HU (uncalibrated)", "HU (calibrated: 0.8003 HU + 8.12
mg/cm3 K2HPO4, ...)", "HU (approximately calibrated: ...)" or "mg/cm3 HA". Voxels in HU stay HU: a
calibration is the line beside them, density = slope * HU + intercept. An uncalibrated sample has no
``calibration_*``; a calibrated one has slope_mg_cm3_per_hu, intercept_mg_cm3, material (K2HPO4 or
HA), origin and is_approximate, and where they are known phantom, rods (their number),
residual_mg_cm3 (root mean square), r, tube_voltage_kvp, and converted_by (BMD_K2HPO4 / BMD_HA that
took the line over from the other material) with converted_by_uncertainty.

``affine`` maps the voxel index (d, h, w, 1) to RAS mm. ``sha256`` covers, in this order, the bytes
of volume, mask and region (C order, little-endian), of the JSON texts, of the parameters by name,
and of the other attributes as one JSON text (sorted names, no spaces, arrays as lists). The
fingerprint is the SHA-256 of the samples' checksums and labels: it names exactly this cohort. A
file holds no links out of itself, and nothing in it is ever unpickled.
"""

FORMAT = "qctkit-cohort"
FORMAT_VERSION = 1

RUN = "run"
TABLE = "table"
REFUSED = "refused"
SAMPLES = "samples"

VOLUME = "volume"
MASK = "mask"
REGION = "region"
PROVENANCE = "provenance"
TRUTH = "truth"
SYNTHESIS = "synthesis"
PARAMETERS = "parameters"

TABLE_COLUMNS = (
    "sample_id",
    "subject_id",
    "source_subject_id",
    "sex",
    "age_years",
    "weight_kg",
    "side",
    "unit",
    "depth",
    "height",
    "width",
)
