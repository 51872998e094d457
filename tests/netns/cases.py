# The register of cases: a case is a function with a sentence for a name.
CASES = {}


def case(sentence, seconds=60):
    """Registers a case; `seconds` is when CTest gives it up."""
    def register(function):
        assert sentence not in CASES, f"two cases are called {sentence!r}"
        assert ";" not in sentence and '"' not in sentence, f"CMake would split {sentence!r}"
        function.seconds = seconds
        CASES[sentence] = function
        return function
    return register


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}" if what
                             else f"got {got!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(str(what))
