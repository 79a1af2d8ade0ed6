import pytest

from storage import GroupCommitStorage


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 513], ids=["NUL", "half a surrogate pair", "too long"])
def test_a_name_that_no_database_takes_is_refused_and_the_storage_goes_on(database_url: str, name: str) -> None:
    storage = GroupCommitStorage(database_url)
    try:
        study_id = storage.create_new_study([], "study")
        for refused in (
            lambda: storage.create_new_study([], name),
            lambda: storage.set_study_user_attr(study_id, name, 1),
            lambda: storage.set_study_system_attr(study_id, name, 1),
        ):
            with pytest.raises(ValueError, match="names must"):
                refused()
        storage.set_study_user_attr(study_id, "x" * 512, 1)

        assert [study.study_name for study in storage.get_all_studies()] == ["study"]
        assert storage.get_study_user_attrs(study_id) == {"x" * 512: 1}
    finally:
        storage.close()
