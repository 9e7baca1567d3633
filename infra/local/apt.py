"""Installs a package of the distribution, where that can be done without asking for a password."""

import os
import shutil
import subprocess


def installable() -> bool:
    """Whether `install` may be tried: a Debian or Ubuntu, as root or with sudo that asks for no password."""
    if shutil.which("apt-get") is None:
        return False
    return os.geteuid() == 0 or (shutil.which("sudo") is not None and _run(["sudo", "-n", "true"]))


def install(*alternatives: str) -> bool:
    """Install the first of the packages that the distribution has; whether that worked."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    _run([*prefix, "apt-get", "-qq", "update"])
    command = [
        *prefix,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-qq",
        "-y",
        "-o",
        "DPkg::Lock::Timeout=120",
        "install",
        "--no-install-recommends",
    ]
    return any(_run(["apt-cache", "show", package]) and _run([*command, package]) for package in alternatives)


def _run(command: list[str]) -> bool:
    return (
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
    )
