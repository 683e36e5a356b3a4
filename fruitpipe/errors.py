"""The errors of fruitpipe, each with a message for the person who can fix it.

Every message gives the value, the bound and what to do. Each class takes that one sentence as its only argument, so that
it survives the pickling between an executor and the driver.
"""


class FruitpipeError(Exception):
    """The root of all errors that are explained to the user in one line; a job that meets one exits with 1."""


class WrongUsage(FruitpipeError):
    """The command line or the environment asks for something that cannot be; a job that meets one exits with 2."""


class NotFound(FruitpipeError):
    """A folder, bucket, table or version that was named does not exist."""


class AccessDenied(FruitpipeError):
    """The object store or file system refuses these credentials."""


class NoImages(FruitpipeError):
    """There is not one image under the prefix."""


class WrongRoot(FruitpipeError):
    """The root holds something that fruitpipe did not write."""


class WrongRegion(FruitpipeError):
    """A bucket lies where data must not go."""


class NotEnoughRows(FruitpipeError):
    """The table holds too few good rows for what was asked."""


class MixedExtractors(FruitpipeError):
    """The table holds features of several extractors, which must never meet in one reduction."""


class DuplicateRows(FruitpipeError):
    """The table holds several rows of one image, which would count that many times."""


class RemovalsRefused(FruitpipeError):
    """A listing lacks so many images that the listing is more likely to be wrong than the images to be gone."""


class Conflict(FruitpipeError):
    """Somebody else wrote the object first."""


class OtherWriter(FruitpipeError):
    """Another process is writing under this root."""


class LeaseLost(FruitpipeError):
    """The lease was lost: this process may no longer be the only writer."""


class PlatformFault(FruitpipeError):
    """The object store, the cluster or a file on it does not work as it must; no image is to blame."""


class WrongModel(FruitpipeError):
    """The model file is not what it claims to be, or another than the root's features were made with."""


class MissingRequirement(FruitpipeError):
    """The machine lacks something that fruitpipe needs."""


class Damaged(FruitpipeError):
    """A file that the root consists of is missing, cut or changed; the message names it and the way out."""


class InvalidResult(FruitpipeError):
    """What was written does not read back as it should, so it was not published."""
