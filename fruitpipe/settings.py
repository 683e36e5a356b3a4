"""The settings of each job: frozen, validated, from flags and from FRUITPIPE_… in the environment.

A field is a flag (`max_files_per_trigger` is ``--max-files-per-trigger``), its docstring the help text, its bounds the error
message. So each default stands in one place.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from fruitpipe import objects, regions
from fruitpipe.choices import Decoding, Precision
from fruitpipe.errors import WrongUsage
from fruitpipe.objects.listing import LISTERS, MOST_LISTERS
from fruitpipe.runtime import cache


def default_model(precision: Precision = Precision.float32) -> str:
    """Where `make` and `fruitpipe model build` write the model file."""
    suffix = "" if precision == Precision.float32 else f"-{precision}"
    return str(cache.folder() / f"mobilenetv2-1.0-224{suffix}.tflite")


def model_file(path: str, given: ValidationInfo) -> str:
    """`path`, or where the model file of the precision that `--extractor` asks for is looked for."""
    return path or default_model(given.data.get("extractor", Precision.float32))


def spark_readable(uri: str) -> str:
    """The canonical URI. Raises WrongUsage for one that Spark would take for a pattern and Python would not."""
    canonical = objects.canonical(uri)
    if found := set(canonical) & set("*?[]{}\\"):
        raise WrongUsage(f"{uri}: holds {' '.join(sorted(found))}, which Spark takes for a pattern; give a folder without them")
    return canonical


def level(number: int | None) -> int | None:
    """`number`, which counts folders from one end or the other. Raises WrongUsage for 0."""
    if number == 0:
        raise WrongUsage("--label-level 0: folders count from 1, the first below --images, or from -1, the one that holds it")
    return number


def web_server(url: str) -> str:
    """`url`, or nothing where none is given. Raises WrongUsage for one that names no server of HTTP."""
    if url and not _names_a_server(url):
        raise WrongUsage(f"--openlineage-url {url}: give http://HOST:PORT or https://HOST")
    return url


def report(uri: str) -> str:
    """The canonical URI, or nothing where none is given."""
    return objects.canonical(uri) if uri else ""


def _names_a_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:  # brackets that do not close, a label that is empty, a port that is no number
        return False
    return parts.scheme in ("http", "https") and bool(host)


Uri = Annotated[str, AfterValidator(spark_readable)]
Report = Annotated[str, AfterValidator(report)]
Regions = Annotated[str, AfterValidator(regions.parse)]
MAX_IMAGE_BYTES = 50_000_000
GLOB = "*.{jpg,jpeg,png,webp,avif,heic,heif,hif}"
UNION = ",".join(regions.UNION)
MOST_DAYS = 36_500  # that something is kept: a calendar has no year before the first, which "for ever" would have to count from


class JobSettings(BaseSettings):
    """The settings that all jobs share."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix="FRUITPIPE_",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        use_attribute_docstrings=True,
    )

    root: Uri
    """URI under which the pipeline keeps everything it writes: a local folder or s3://bucket/prefix"""
    regions: Regions = UNION
    """comma-separated regions in which buckets may lie; any: all of them"""
    kms_key: str = ""
    """KMS key (ARN, id or alias) for writes to S3, where the bucket's policy demands that one is named"""
    openlineage_url: Annotated[str, AfterValidator(web_server)] = ""
    """server of OpenLineage to tell of each run (docs/operations.md, "Lineage"); needs fruitpipe[lineage]"""

    @property
    def places(self) -> tuple[str, ...]:
        """Every URI that the job reads images from or writes to."""
        return tuple(value for name in ("root", "images", "inventory") if (value := getattr(self, name, None)))


class IngestSettings(JobSettings):
    """Watches the image prefix and keeps one row of features per image in the Delta table at ROOT/features."""

    model_config = SettingsConfigDict(cli_prog_name="fruitpipe ingest")

    images: Uri
    """URI of the image prefix: a local folder or s3://bucket/prefix; an image's folder below it is its label"""
    source: Literal["prefix", "events"] = "prefix"
    """prefix: list the prefix at every trigger and read manifests; events: read manifests alone"""
    extractor: Precision = Precision.float32
    """int8: about twice as fast, vectors a little different, to be built first; never both in one ROOT"""
    model: Annotated[str, AfterValidator(model_file)] = Field("", validate_default=True)
    """the model file; without it, where `fruitpipe model build` writes it"""
    decode: Decoding = Decoding.scaled
    """full: large photographs are decoded at their full size, at a third of the rate; never both in one ROOT"""
    label_level: Annotated[int | None, AfterValidator(level)] = None
    """the folder that is the label: 1 the first below IMAGES, -1 (a new ROOT's) the one that holds the image; kept with ROOT"""
    side_files: bool = False
    """take side files for images too: ._a.jpg of macOS, thumbnails of a NAS, ... (docs/events.md)"""
    once: bool = False
    """process all that is there now, and end"""
    images_without_spark: int = Field(50_000, ge=0)
    """with --once on one machine: up to so many new images are taken in without Spark, which is slow to start; 0: none"""
    trigger_seconds: float = Field(30, ge=0, allow_inf_nan=False)
    """seconds from one trigger to the next; 0: as soon as the last batch has ended"""
    max_files_per_trigger: int = Field(50_000, ge=1)
    """images that a batch takes, about: manifests are not divided"""
    glob: str = GLOB
    """names that count as images, upper or lower case"""
    listers: int = Field(LISTERS, ge=1, le=MOST_LISTERS)
    """requests for pages of the listing that are with S3 at the same time"""
    max_image_bytes: int = Field(MAX_IMAGE_BYTES, ge=1)
    """a larger image is not read and becomes a row with the reason too-large"""
    max_image_seconds: float = Field(30, gt=0, le=3600)
    """an image that takes longer to decode becomes a row with the reason too-slow"""
    allow_removals: bool = False
    """delete the rows of images that are not listed any more even where they are more than a tenth of all"""
    keep_removed: bool = False
    """keep the rows of images that are not listed any more, and only print how many they are"""
    log_json: bool = False
    """print a JSON object for each commit, in place of a line for people"""
    metrics_port: int | None = Field(None, ge=1, le=65535)
    """port at which Prometheus reads the stream's metrics (docs/metrics.md); needs fruitpipe[metrics]"""
    metrics_host: str = "127.0.0.1"
    """address to listen at for --metrics-port: of this machine alone; 0.0.0.0: others may read them as well"""
    erasure_grace_hours: int = Field(1, ge=0, le=600)
    """whole hours that files with erased rows stay for readers who have them open; at most 600, as the law leaves a month"""

    stale_per_second: float = Field(50, ge=0)
    """images of another extractor to recompute a second, while no new ones wait; 0: none; with --once: all, after the new ones"""
    compact_commits: int = Field(16, ge=0)
    """batches after which small files of the table are compacted into large ones; 0: never"""
    vacuum_hours: int = Field(168, ge=1, le=2400)
    """whole hours that a file stays which the table no longer needs; a refit that comes later after the last reads all rows"""
    manifest_days: float = Field(0, ge=0, le=MOST_DAYS)
    """days to keep a manifest after all its events are committed; Spark lists all manifests at every trigger"""
    rejected_days: float = Field(30, ge=0, le=MOST_DAYS)
    """days to keep rejected lines of manifests"""
    checkpoint_days: float = Field(90, ge=0, le=MOST_DAYS)
    """age at which the next start begins a new checkpoint; it looks once at the images that manifests still name"""
    clear_hours: float = Field(24, ge=0, le=24 * MOST_DAYS)
    """hours from one removal of old files to the next; 0: at every start"""


class RefitSettings(JobSettings):
    """Fits scaler and PCA on the features at ROOT and publishes the reduced features as the next version."""

    model_config = SettingsConfigDict(cli_prog_name="fruitpipe refit")

    variance: float = Field(0.95, gt=0, le=1)
    """share of the standardised variance to keep, with the fewest components"""
    components: int | None = Field(None, ge=1)
    """number of components, instead of a share of the variance"""
    full: bool = False
    """read every row again, instead of only what changed since the last version"""
    unless_current: bool = False
    """keep the current components while they hold the asked variance of all rows; new rows are projected with them"""
    report: bool = True
    """write the HTML report of the version to ROOT/reports"""
    keep: int | None = Field(None, ge=1)
    """newest versions to keep; older ones are removed after the switch, the current one never"""


class ReconcileSettings(JobSettings):
    """Compares the image prefix with the table and writes manifests for what is new, changed or gone."""

    model_config = SettingsConfigDict(cli_prog_name="fruitpipe reconcile")

    images: Uri
    """URI of the image prefix that ROOT was filled from"""
    glob: str = GLOB
    """names that count as images, upper or lower case"""
    listers: int = Field(LISTERS, ge=1, le=MOST_LISTERS)
    """requests for pages of the listing that are with S3 at the same time"""
    inventory: Report = ""
    """manifest.json of a report of S3 Inventory, which is read in place of a listing (docs/upkeep.md)"""
    dry_run: bool = False
    """print the plan and write nothing"""
    repair: bool = False
    """first remove lost or damaged files from the table, so that their images are ingested again; reads the whole table"""
    extractor: Precision = Precision.float32
    """int8: about twice as fast, vectors a little different, to be built first; never both in one ROOT"""
    model: Annotated[str, AfterValidator(model_file)] = Field("", validate_default=True)
    """the model file; without it, where `fruitpipe model build` writes it"""
    decode: Decoding = Decoding.scaled
    """as the stream's: rows that are not computed that way are stale"""
    allow_removals: bool = False
    """delete rows even where more than a tenth of them are gone"""
    max_image_bytes: int = Field(MAX_IMAGE_BYTES, ge=1)
    """the stream's limit: an image that was too large, and is not for this one, is looked at again"""
    images_per_second: float = Field(385, gt=0)
    """for the plan: images that the stream featurises a second; by default on the cluster of docs/costs.md"""
    euros_per_hour: float = Field(0.73, ge=0)
    """for the plan: what an hour of that cluster costs"""
    euros_per_1000_reads: float = Field(0.0004, ge=0)
    """for the plan: what 1,000 reads cost at S3"""
