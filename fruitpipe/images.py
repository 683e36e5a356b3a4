"""stub"""


def decoder_version() -> str:
    return "decode-0"
