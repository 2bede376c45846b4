"""The official sets, for what reads the same files."""

from tests.data.conftest import real_data as real_data
