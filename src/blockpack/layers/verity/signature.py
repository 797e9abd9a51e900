"""What vouches for a root hash: a detached signature of its hexadecimal digits, PKCS #7 in DER, as
the kernel takes it (dm-verity's ``root_hash_sig_key_desc``) and systemd (``roothash.p7s``).
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from ...arguments import checked
from ...errors import UsageError
from ...planning.layout import round_up

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509 import Certificate

_BLOCK = 4096  # of which the signature of a partition is a multiple


@checked
class Signer:
    """Signs with a `key` and its `certificate` (PEM). Raises `UsageError` if they are no pair."""

    def __init__(self, key: bytes, certificate: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric import ec, rsa
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
            from cryptography.x509 import load_pem_x509_certificate
        except ImportError as error:
            rule = f"a signature needs blockpack[secrets] installed ({error})"
            raise UsageError("", rule) from None
        try:
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError):  # the latter for one with a password
            rule = "the key is not a private one in PEM, without a password"
            raise UsageError("", rule, option="sign_key=FILE") from None
        try:
            self._certificate: Certificate = load_pem_x509_certificate(certificate)
        except (ValueError, TypeError):
            rule = "the certificate is not one of X.509 in PEM"
            raise UsageError("", rule, option="sign_cert=FILE") from None
        if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            rule = "the key is of neither of the kinds that kernels take, RSA and elliptic curves"
            raise UsageError("", rule, option="sign_key=FILE")
        self._key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = private
        if self._certificate.public_key() != private.public_key():
            raise UsageError("", "the certificate is of another key", option="sign_cert=FILE")

    def sign(self, root_hash: str) -> bytes:
        """The signature of a root hash, given in hex."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

        # What openssl smime calls -binary, -noattr and -nocerts: with any of these it is refused.
        options = pkcs7.PKCS7Options
        chosen = [
            *(options.DetachedSignature, options.Binary),
            *(options.NoAttributes, options.NoCerts),
        ]
        builder = pkcs7.PKCS7SignatureBuilder().set_data(root_hash.encode("ascii"))
        builder = builder.add_signer(self._certificate, self._key, SHA256())
        return builder.sign(Encoding.DER, chosen)

    def partition(self, root_hash: str) -> bytes:
        """What is in a partition with the signature (UAPI's Discoverable Partitions)."""
        from cryptography.hazmat.primitives.hashes import SHA256

        values = {
            "rootHash": root_hash,
            "certificateFingerprint": self._certificate.fingerprint(SHA256()).hex(),
            "signature": b64encode(self.sign(root_hash)).decode("ascii"),
        }
        data = json.dumps(values).encode("ascii")
        return data.ljust(round_up(len(data), _BLOCK), b"\0")
