"""Settings for Java and Ivy to reach Maven, from the environment: a proxy, which Java does not read itself, and a mirror."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from fruitpipe.errors import WrongUsage

MIRROR = "FRUITPIPE_MAVEN"  # in the environment: the URL of a Maven repository to ask in place of Maven Central
PORTS = {"http": 80, "https": 443}


def java_options(environment: Mapping[str, str]) -> list[str]:
    """Java's options for HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case. Raises WrongUsage for a proxy without a host."""
    options = []
    for scheme in PORTS:
        if address := _of(environment, f"{scheme}_proxy"):
            host, port = _host_and_port(address, f"{scheme.upper()}_PROXY")
            options += [f"-D{scheme}.proxyHost={host}", f"-D{scheme}.proxyPort={port}"]
    if options and (without := _of(environment, "no_proxy")):
        options.append(f"-Dhttp.nonProxyHosts={'|'.join(_patterns(without))}")  # for https, too
    return options


def ivy_settings(environment: Mapping[str, str], file: Path) -> list[str]:
    """Writes Ivy's settings into `file` where a mirror is named, and returns spark-submit's options for it; else none."""
    mirror = environment.get(MIRROR)
    if not mirror:
        return []
    resolver = f'<ibiblio name="mirror" m2compatible="true" root={quoteattr(mirror)}/>'
    file.write_text(
        f'<ivysettings><settings defaultResolver="mirror"/><resolvers>{resolver}</resolvers></ivysettings>\n', encoding="utf-8"
    )
    return ["--conf", f"spark.jars.ivySettings={file}"]


def _of(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _host_and_port(address: str, name: str) -> tuple[str, int]:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if not parts.hostname:
        raise WrongUsage(f"{name} is {address!r}, which names no host; give it as http://host:port")
    return parts.hostname, parts.port or PORTS[parts.scheme]


def _patterns(without: str) -> list[str]:
    """Java's patterns of hosts without proxy; each name also covers its subdomains, as in curl."""
    names = [name.strip().partition(":")[0] for name in without.split(",") if name.strip()]
    return [pattern for name in names for pattern in ([f"*{name}"] if name.startswith(".") else [name, f"*.{name}"])]
