"""Attests the packages of a channel, as their publisher (CEP 27). `sigstore`, of the extra `provenance`, signs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from bridge.convert.digests import digests
from bridge.convert.sidecars import write_sidecar
from bridge.errors import BridgeError, NetworkError, UsageError
from bridge.index.attestations import CONDA
from bridge.secrets import masked

__all__ = ["sign_packages"]

_TOKEN = "SIGSTORE_IDENTITY_TOKEN"


def sign_packages(packages: Iterable[Path], trust_config: Path | None, target_channel: str = "") -> list[Path]:
    """Sign each package for the identity of this process, and write the attestation beside it; return these files.

    The identity is that of `SIGSTORE_IDENTITY_TOKEN`, or of the CI that runs this process. Nobody is asked by a
    browser. Sigstore's servers get the identity and the hash of each package, which become public.

    :param trust_config: a file with the servers and the trust root of another Sigstore (its `ClientTrustConfig`).
    :param target_channel: the URL of the channel for which the packages are signed; empty: the attestations name none.

    Raises `UsageError` (`attestation-library`, `trust-config`, `no-identity`), `NetworkError` (`signing-failed`).
    """
    written: list[Path] = []
    with ExitStack() as opened:
        signer: Any = None
        for path in packages:
            signer = signer or opened.enter_context(_signer(trust_config))
            statement = _statement(path.name, digests(path)[0], target_channel)
            written.append(write_sidecar(path, [_attempted(lambda: _signed(signer, statement))]))  # noqa: B023
    return written


def _signer(trust_config: Path | None) -> Any:  # noqa: ANN401 - of a library that may be absent
    try:
        models, oidc, sign = (import_module(f"sigstore.{name}") for name in ("models", "oidc", "sign"))
    except ModuleNotFoundError as error:
        raise UsageError(
            "attestation-library",
            f"packages are signed by {error.name}, which is not installed",
            hint="install it with: pip install 'conda-bridge[provenance]'",
        ) from error
    try:
        token = os.environ.get(_TOKEN) or oidc.detect_credential()
        identity = oidc.IdentityToken(token) if token else None
    except oidc.IdentityError as error:
        raise _no_identity(f"the identity to sign with cannot be used: {masked(str(error))}") from error
    if identity is None:
        raise _no_identity("there is no identity to sign with")
    if trust_config is None:
        config = _attempted(models.ClientTrustConfig.production)
    else:
        try:
            config = models.ClientTrustConfig.from_json(trust_config.read_text())
        except (OSError, ValueError, models.Error) as error:
            raise UsageError(
                "trust-config", f"{trust_config} is not a trust configuration of Sigstore: {error}"
            ) from error
    context = sign.SigningContext.from_trust_config(config)
    return _attempted(lambda: context.signer(identity))


def _no_identity(problem: str) -> UsageError:
    hint = f"sign in a CI whose identity Sigstore knows (GitHub Actions: permission `id-token: write`), or set {_TOKEN}"
    return UsageError("no-identity", problem, hint=hint)


def _statement(name: str, sha256: str, target_channel: str) -> bytes:
    """Return the statement about a package (CEP 27)."""
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": sha256}}],
            "predicateType": CONDA,
            "predicate": {"targetChannel": target_channel} if target_channel else None,
        }
    ).encode()


def _signed(signer: Any, statement: bytes) -> str:  # noqa: ANN401
    dsse = import_module("sigstore.dsse")
    return str(signer.sign_dsse(dsse.Statement(statement)).to_json())


def _attempted(sign: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return what `sign` returns; the library raises many kinds of errors for what its servers answer."""
    try:
        return sign()
    except BridgeError:
        raise
    except Exception as error:
        problem = masked(str(error))[:300] or type(error).__name__
        raise NetworkError(
            "signing-failed",
            f"Sigstore did not sign: {problem}",
            hint="the packages are as they were, and those signed before stay so; try again",
        ) from error
