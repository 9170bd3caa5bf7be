"""The built-in components, offered through the same hooks as everyone else's.

Imports wait until a hook is called, so that discovering plugins loads nothing heavy.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

from qctkit.hookspecs import PROJECT

if TYPE_CHECKING:
    from qctkit.contracts import (
        AttributeTerm,
        Edit,
        Exporter,
        LossTerm,
        PredictorFamily,
        Reader,
        Recipe,
        Validator,
    )
    from qctkit.subject import Attribute

hookimpl = pluggy.HookimplMarker(PROJECT)


@hookimpl
def register_attributes() -> "Sequence[Attribute]":
    """Return sex, age and weight."""
    from qctkit.subject import AGE, SEX, WEIGHT

    return (SEX, AGE, WEIGHT)


@hookimpl
def register_readers() -> "Sequence[Reader]":
    """Return the readers of DICOM series, image files, cohorts and exported cohorts."""
    from qctkit.readers.cohort import CohortReader
    from qctkit.readers.dicom import DicomReader
    from qctkit.readers.exported import ExportReader
    from qctkit.readers.metaimage import MetaImageReader
    from qctkit.readers.nifti import NiftiReader
    from qctkit.readers.nrrd import NrrdReader
    from qctkit.readers.numpy_file import NumpyReader

    return (
        NiftiReader(),
        DicomReader(),
        NrrdReader(),
        MetaImageReader(),
        NumpyReader(),
        CohortReader(),
        ExportReader(),
    )


@hookimpl
def register_predictors() -> "Sequence[PredictorFamily]":
    """Return the density model, those on physical features, that on voxels, and the networks."""
    from qctkit.predictors.density import DensityFamily
    from qctkit.predictors.measured import MeasuredFamily
    from qctkit.predictors.network import network_families
    from qctkit.predictors.physical import PhysicalFamily
    from qctkit.predictors.voxel_ridge import VoxelRidgeFamily

    return (
        DensityFamily(),
        PhysicalFamily(),
        MeasuredFamily(),
        VoxelRidgeFamily(),
        *network_families(),
    )


@hookimpl
def register_edits() -> "Sequence[Edit]":
    """Return the edits of density, shape and soft tissue, and the study's free voxels."""
    from qctkit.engine.edits.cohort_change import CohortDensity, CohortShape, cohort_tissue
    from qctkit.engine.edits.cohort_modes import CohortModes
    from qctkit.engine.edits.density_field import DensityField
    from qctkit.engine.edits.morph import Morph
    from qctkit.engine.edits.soft_tissue import SoftTissue
    from qctkit.engine.edits.voxel import Voxel

    return (
        DensityField(),
        Morph(),
        SoftTissue(),
        CohortDensity(),
        cohort_tissue(),
        CohortShape(),
        CohortModes(),
        Voxel(),
    )


@hookimpl
def register_losses() -> "Sequence[LossTerm]":
    """Return the preservation terms: on parameters first, then on what the image shows."""
    from qctkit.engine.losses.cortical_shell import CorticalShell
    from qctkit.engine.losses.mahalanobis import Mahalanobis
    from qctkit.engine.losses.noise_spectrum import NoiseSpectrum
    from qctkit.engine.losses.preservation import Bending, Size, Smoothness, TotalVariation
    from qctkit.engine.losses.similarity import GradientSimilarity, StructureSimilarity

    return (
        Size(),
        Smoothness(),
        Bending(),
        Mahalanobis(),
        TotalVariation(),
        StructureSimilarity(),
        GradientSimilarity(),
        CorticalShell(),
        NoiseSpectrum(),
    )


@hookimpl
def register_attribute_terms() -> "Sequence[AttributeTerm]":
    """Return the terms for readings: squared error, a margin for classes, learned weights."""
    from qctkit.engine.losses.attributes import ClassMargin, SquaredError, UncertaintyWeighted

    return (SquaredError(), ClassMargin(), UncertaintyWeighted())


@hookimpl
def register_validators() -> "Sequence[Validator]":
    """Return the validators of attributes, structure, density and noise."""
    from qctkit.validators.attributes import Attributes
    from qctkit.validators.density import Density
    from qctkit.validators.noise_texture import NoiseTexture
    from qctkit.validators.structure import Structure

    return (Attributes(), Structure(), Density(), NoiseTexture())


@hookimpl
def register_recipes() -> "Sequence[Recipe]":
    """Return femur-morph and the source study's baseline; femur-density is a plugin of its own."""
    from qctkit.recipes.femur_morph import femur_morph
    from qctkit.recipes.voxel_baseline import voxel_baseline

    return (femur_morph(), voxel_baseline())


@hookimpl
def register_exporters() -> "Sequence[Exporter]":
    """Return the exporters of NIfTI and NRRD files."""
    from qctkit.exporters.nifti import NiftiExporter
    from qctkit.exporters.nrrd import NrrdExporter

    return (NiftiExporter(), NrrdExporter())
