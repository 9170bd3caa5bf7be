"""Subjects' ids: numbers in order of appearance, or hashes under a key that the user keeps."""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from qctkit.errors import InputError

LEAST_KEY_BYTES = 16
DIGITS = 16
"""Hexadecimal digits kept of a hash: 64 bits, in which a million ids collide once in 4e7 cases."""


@dataclass
class Pseudonyms:
    """Gives each patient one id, the same for all of the patient's scans.

    Attributes:
        key: secret key of the hashes; without one, patients are numbered.
        known: ids that others have, which no number repeats.
    """

    key: bytes | None = None
    known: frozenset[str] = frozenset()
    _numbered: dict[str, str] = field(default_factory=dict, repr=False)
    _count: int = 0

    def of(self, patient: str) -> str:
        """Return the id of a patient; one without a name of any kind is new each time.

        Raises:
            InputError: there is a key and nothing to hash.
        """
        if self.key is not None:
            if not patient:
                raise InputError(
                    "the scan states no patient id that --key-file could hash; name its subject in "
                    "a --table"
                )
            digest = hmac.new(self.key, patient.encode(), hashlib.sha256).hexdigest()
            return f"s-{digest[:DIGITS]}"
        if patient not in self._numbered or not patient:
            self._numbered[patient] = self._next()
        return self._numbered[patient]

    def _next(self) -> str:
        self._count += 1
        number = f"subject-{self._count:03d}"
        return self._next() if number in self.known else number


def read_key(path: Path) -> bytes:
    """Return the key that a file holds.

    Raises:
        InputError: the file is missing or too short to keep a secret.
    """
    how = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
    if not path.is_file():
        raise InputError(f"{path}: there is no such key file; {how}")
    key = path.read_bytes().strip()
    if len(key) < LEAST_KEY_BYTES:
        raise InputError(
            f"{path}: a key needs at least {LEAST_KEY_BYTES} bytes, this one has {len(key)}; {how}"
        )
    return key
