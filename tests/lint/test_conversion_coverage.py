"""The tests of each conversion case (C1 to C52) and each defect of other converters (E-CP, E-WC) in docs/cases.md."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
_RECORD = "test_convert.py::test_the_record"
_REFUSED = "test_convert.py::test_what_cannot_be_converted_is_refused_and_nothing_is_written"
_INSTALLED = "test_convert.py::test_a_stock_installer_installs_what_was_converted"
_NOTED = "test_convert.py::test_what_a_person_should_know_is_noted"
_EXTRAS = "test_convert.py::test_extras_are_groups_of_index_json"
_ENTRY_POINTS = "test_convert.py::test_entry_points_keep_their_case_and_lose_their_extras"
_PORTABLE = "test_convert.py::test_files_of_a_portable_package"
_ROWS = "test_convert.py::test_every_file_has_its_place_and_its_record_entry"
_TREE = "test_convert.py::test_the_files_are_those_of_another_installer"
_MARKERS = "test_markers.py::test_markers_are_evaluated_on_the_target"
_MEANING = "test_conversion_meaning.py::test_known_shapes"
_ACCEPTED = "test_versions.py::test_conda_accepts_what_pep440_accepts"
_ALL_VERSIONS = "test_versions.py::test_every_operator_on_every_version_differs_only_as_documented"
_METADATA = "test_conversion_edges.py::test_metadata_that_says_nothing_of_dependencies"
_CONTRADICTED = "test_conversion_edges.py::test_metadata_that_contradicts_itself_is_refused"
_SHARED_NAME = "test_convert.py::test_wheels_of_one_version_never_share_a_file_name"
_PAIR = "test_conversion_edges.py::test_a_second_wheel_of_a_version_does_not_replace_the_first"
_ADOPTED = "test_adoption.py::test_it_is_owned_from_then_on_and_no_file_of_it_changes"

_EACH_PYTHON = "test_conversion_command.py::test_a_wheel_becomes_a_package_for_each_python_that_needs_another"
_BAD_ZIP = "test_archive_zip.py::test_a_bad_container_is_refused"
_BAD_WHEEL = "test_archive_wheel.py::test_a_bad_wheel_is_refused"
_PROVENANCE = "test_convert.py::test_provenance_licences_and_bills_of_materials"

COVERED: dict[str, tuple[str, ...]] = {
    "C1": (_RECORD, _MEANING, _EACH_PYTHON),
    "C2": (_MARKERS, _MEANING, "test_markers.py::test_spans"),
    "C3": (_EXTRAS, _MEANING),
    "C4": (_EXTRAS, "test_markers.py::test_extras_are_compared_by_their_normal_names"),
    "C5": (_MARKERS,),
    "C6": (_MARKERS, _ACCEPTED),
    "C7": (_MARKERS, "test_markers.py::test_a_marker_may_cut_through_a_minor"),
    "C8": (
        "test_markers.py::test_an_extra_of_another_project_brings_its_own_requirements",
        "test_markers.py::test_extras_that_refer_to_each_other_end",
        "test_conversion_edges.py::test_an_undeclared_extra_is_an_extra",
    ),
    "C9": (_REFUSED, "test_markers.py::test_a_url_never_becomes_a_name"),
    "C10": ("test_versions.py::test_known_translations", _ACCEPTED),
    "C11": ("test_versions.py::test_known_translations", _ALL_VERSIONS),
    "C12": (_ACCEPTED, _ALL_VERSIONS),
    "C13": (_ALL_VERSIONS, "test_convert.py::test_versions_and_build_numbers"),
    "C14": (_RECORD, _CONTRADICTED, "test_markers.py::test_an_unreadable_requires_python_is_ignored_with_a_note"),
    "C15": (
        "test_markers.py::test_requirements_with_one_reading_only_are_read",
        "test_markers.py::test_other_requirements_are_refused",
    ),
    "C16": ("test_markers.py::test_requirements_on_one_native_name_hold_together",),
    "C17": ("test_versions.py::test_what_cannot_be_said_is_refused", _METADATA),
    "C18": (_METADATA, _CONTRADICTED),
    "C19": (_METADATA, _TREE),
    "C20": (_RECORD, "test_convert.py::test_files_of_a_pinned_package"),
    "C21": (_RECORD, _INSTALLED, "test_tags.py::test_abi3_is_for_no_free_threaded_python"),
    "C22": (_RECORD, "test_tags.py::test_fits"),
    "C23": (_REFUSED, "test_tags.py::test_a_wheel_that_fits_nowhere_is_refused_with_the_reason"),
    "C24": (_RECORD, "test_tags.py::test_fits"),
    "C25": (_RECORD, "test_tags.py::test_the_best_fits_serve_a_place"),
    "C26": (_RECORD, "test_conversion_command.py::test_a_wheel_of_several_pythons_becomes_a_package_for_each"),
    "C27": (_RECORD, _INSTALLED),
    "C28": ("test_convert.py::test_versions_and_build_numbers", _SHARED_NAME),
    "C29": (_SHARED_NAME, _PAIR),
    "C30": (
        _REFUSED,
        "test_conversion_edges.py::test_a_name_with_dots_is_normalised",
        "test_conversion_edges.py::test_a_name_of_other_letters_is_refused",
        "test_versions.py::test_matchspecs_bear_the_native_name",
    ),
    "C31": ("test_convert.py::test_a_variant_wheel_is_refused_with_the_reason",),
    "C32": (_REFUSED, _NOTED, "test_tags.py::test_native_code_is_told_by_its_bytes"),
    "C33": (_PORTABLE, "test_convert.py::test_headers_are_in_the_directory_of_each_python", _INSTALLED),
    "C34": (_PORTABLE,),
    "C35": (_PORTABLE, _INSTALLED),
    "C36": (_REFUSED,),
    "C37": (_BAD_ZIP, _BAD_WHEEL),
    "C38": (
        "test_convert.py::test_an_unsafe_wheel_is_refused_before_it_is_converted",
        "test_archive_wheel.py::test_every_flipped_byte_of_the_content_is_found",
    ),
    "C39": (_ROWS, _INSTALLED, _TREE),
    "C40": (_NOTED,),
    "C41": (
        _NOTED,
        "test_conversion_edges.py::test_namespace_packages_and_compiled_modules",
        "test_conversion_edges.py::test_odd_modes_become_one_of_two",
    ),
    "C42": ("test_conversion_edges.py::test_sizes_and_hashes_are_of_what_is_installed", _REFUSED),
    "C43": (_ENTRY_POINTS, _INSTALLED),
    "C44": (_ENTRY_POINTS, _INSTALLED, "test_archive_wheel.py::test_real_command_names_are_accepted"),
    "C45": (_ENTRY_POINTS, _NOTED),
    "C46": (_ENTRY_POINTS, _INSTALLED),
    "C47": (_INSTALLED, "test_convert.py::test_files_of_a_pinned_package"),
    "C48": (_REFUSED,),
    "C49": ("test_conversion_edges.py::test_licences", _PROVENANCE),
    "C50": (_PROVENANCE,),
    "C51": ("test_convert.py::test_one_package_serves_all_targets_for_which_it_is_right", _SHARED_NAME),
    "C52": ("test_convert.py::test_the_same_wheel_gives_the_same_bytes",),
    "E-CP1": (_RECORD, _REFUSED),
    "E-CP2": (_PAIR,),
    "E-CP3": (_RECORD, _MEANING),
    "E-CP4": (_EXTRAS,),
    "E-CP5": (_RECORD,),
    "E-CP6": (_REFUSED,),
    "E-CP7": (_RECORD,),
    "E-CP8": (_MARKERS,),
    "E-CP9": (_PORTABLE, _INSTALLED),
    "E-CP10": (_PORTABLE, _INSTALLED),
    "E-CP11": (_ROWS, _INSTALLED),
    "E-CP12": (_ENTRY_POINTS,),
    "E-CP13": (_REFUSED,),
    "E-CP14": (
        "test_default_names.py::test_every_row_is_one_that_a_name_map_may_have",
        "test_default_names.py::test_well_known_names",
    ),
    "E-CP15": (_ADOPTED,),
    "E-CP16": (_REFUSED,),
    "E-CP17": ("test_convert.py::test_versions_and_build_numbers",),
    "E-CP18": (_NOTED,),
    "E-WC1": (_INSTALLED,),
    "E-WC2": (_ENTRY_POINTS,),
    "E-WC3": (_ENTRY_POINTS,),
    "E-WC4": (_PORTABLE, "test_convert.py::test_headers_are_in_the_directory_of_each_python"),
    "E-WC5": (_ROWS, _INSTALLED),
    "E-WC6": (_PORTABLE, _INSTALLED),
    "E-WC7": (_REFUSED,),
    "E-WC8": (_RECORD,),
    "E-WC9": (_RECORD,),
    "E-WC10": (_RECORD, "test_tags.py::test_the_best_fits_serve_a_place"),
    "E-WC11": (_RECORD,),
    "E-WC12": (_EXTRAS,),
    "E-WC13": (_REFUSED,),
    "E-WC14": (_METADATA,),
    "E-WC15": (_RECORD, _MEANING),
    "E-WC16": (_REFUSED, _NOTED),
    "E-WC17": ("test_convert.py::test_versions_and_build_numbers",),
}  # fmt: skip


def test_every_row_is_there() -> None:
    expected = [f"C{n}" for n in range(1, 53)] + [f"E-CP{n}" for n in range(1, 19)] + [f"E-WC{n}" for n in range(1, 18)]
    assert list(COVERED) == expected


@cache
def functions(filename: str) -> frozenset[str]:
    (path,) = TESTS.rglob(filename)
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", COVERED)
def test_a_row_has_tests_that_exist(row: str) -> None:
    for test in COVERED[row]:
        filename, _, name = test.partition("::")
        assert name in functions(filename), f"{row}: there is no {test}"
