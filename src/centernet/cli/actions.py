"""Commands whose first word says what to do: `centernet data show`, `centernet weights get`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from centernet.errors import ConfigError, did_you_mean

Actions = Mapping[str, "tuple[Callable[..., int], str]"]  # word → what runs it, and what the overview says


def run_action(actions: Actions, typed: Sequence[str], *, program: str) -> int:
    """Run the action that the first word names; without one, or with --help, say which there are.

    Raises:
        ConfigError: the word is no action.
    """
    if typed and typed[0] in actions:
        run, _ = actions[typed[0]]
        return run(typed[1:], program=f"{program} {typed[0]}")
    if typed and typed[0] not in ("-h", "--help"):
        raise ConfigError(f"'{typed[0]}' is not an action of `{program}`{did_you_mean(typed[0], actions)}")
    width = max(map(len, actions))
    overview = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in actions.items())
    print(f"usage: {program} ACTION [options]\n\n{overview}\n\n{program} ACTION --help lists an action's options.")
    return 0
