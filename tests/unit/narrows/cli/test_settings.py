import pytest

from narrows.cli.settings import SETTINGS, Setting


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_flag_an_environment_variable_and_a_help(setting: Setting) -> None:
    words = setting.name.replace("_", "-")
    assert setting.flag == (f"--{words}/--no-{words}" if setting.kind is bool else f"--{words}")
    assert setting.environment == f"NARROWS_{setting.name.upper()}"
    assert setting.help.endswith(".")
    assert setting.commands


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_is_of_the_settings_kind_or_described(setting: Setting) -> None:
    if setting.default is None:
        assert setting.default_text
    else:
        assert isinstance(setting.default, setting.kind)


def test_names_are_unique() -> None:
    names = [setting.name for setting in SETTINGS]
    assert len(set(names)) == len(names)
