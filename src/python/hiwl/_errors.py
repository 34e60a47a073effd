"""What can go wrong, and what is worth knowing."""


class HiwlError(Exception):
    """Something that hiwl cannot do."""


class RunError(HiwlError):
    """A run that did not finish. `code` is the program's exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class HiwlWarning(UserWarning):
    """What was taken for granted, or looks unlike what the model learned from."""
