"""Files of latencies: what is read of them, and what is wrong with them."""

import pytest

from ceflow.search import Time, read_times, shared_seconds
from ceflow.spec import SpecError


def test_columns_may_stand_in_any_order(tmp_path):
    path = tmp_path / "times.csv"
    head = b"\xef\xbb\xbfseconds, width ,multiplicity\r\n"
    path.write_bytes(head + b"\r\n2e-3,64,1\r\n0.5,8,30\r\n")
    assert read_times(path) == [Time(8, 30, 0.5), Time(64, 1, 0.002)]


def test_a_width_with_two_multiplicities_tells_what_members_share():
    """Networks of 0.3 s, and 0.01 s for each member of width 4 and 0.02 s of width 8."""
    times = [Time(4, m, 0.3 + 0.01 * m) for m in (5, 30)] + [
        Time(8, m, 0.3 + 0.02 * m) for m in (2, 4)
    ]
    assert shared_seconds([*times, Time(2, 7, 0.9)]) == pytest.approx(0.3)
    assert shared_seconds(times[1:3]) is None


WRONG = {
    "nothing": (b"", "does not begin with the names of its columns"),
    "no head": (b"4,0.1\n8,0.2\n", "does not begin with the names of its columns"),
    "groups": (b"width,groups,seconds\n4,32,0.1\n8,9,0.2\n", "'groups', which is called 'multipl"),
    "a latency": (b"width,Latency\n4,0.1\n8,0.2\n", "'Latency', which is called 'seconds' here"),
    "a capital": (b"Width,seconds\n4,0.1\n8,0.2\n", "'Width', which is called 'width' here"),
    "a device": (b"device,width,seconds\na,4,0.1\na,8,0.2\n", "'device', which is not known"),
    "no name": (b",width,seconds\n0,4,0.1\n1,8,0.2\n", "has a column '', which is not known"),
    "one width": (b"width,seconds\n4,0.1\n", "fewer than two widths"),
    "a width twice": (b"width,seconds\n4,0.1\n4,0.2\n", "line 3, has the width 4 a second time"),
    "one width, twice": (b"width,multiplicity,seconds\n4,1,1\n4,2,2\n", "fewer than two widths"),
    "a cell less": (b"width,seconds\n4\n8,0.2\n", "line 2, has 1 cells, the first line 2"),
    "no number": (b"width,seconds\n4,fast\n8,0.2\n", "line 2, has seconds 'fast', which is no"),
    "nan": (b"width,seconds\n4,0.1\n\n8,nan\n", "line 4, has seconds 'nan', which is no number"),
    "infinity": (b"width,seconds\n4,0.1\n8,1e999\n", "line 3, has seconds '1e999', which is no"),
    "zero": (b"width,seconds\n4,0\n8,0.2\n", "line 2, has seconds '0', which is no number above 0"),
    "too short": (b"width,seconds\n1,1e-320\n8,1\n", "line 2, has seconds '1e-320', which is not"),
    "too long": (b"width,seconds\n4,1\n8,1e308\n", "line 3, has seconds '1e308', which is not"),
    "an underscore": (b"width,seconds\n1_0,1\n8,1\n", "line 2, has width '1_0', which is no num"),
    "too wide": (b"width,seconds\n4,1\n1e300,1\n", "line 3, has width '1e300', which is no whole"),
    "a column twice": (b"width,seconds,width\n4,1,5\n8,1,9\n", "names the column 'width' twice"),
    "half a unit": (b"width,seconds\n4.5,1\n8,0.2\n", "line 2, has width '4.5', which is no whole"),
    "no member": (b"width,multiplicity,seconds\n4,0,1\n8,1,1\n", "line 2, has multiplicity '0'"),
    "a quote": (b'width,seconds\n"4,1\n8,2\n', "line 2, is not valid CSV"),
    "binary": (b"width,\xff\xfe", "is not text in UTF-8"),
    "too large": (b"width,seconds\n" + b"\n" * 2**20, "is larger than 1 MiB"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_file_of_latencies_is_said_with_its_line_and_form(name, tmp_path):
    content, message = WRONG[name]
    (tmp_path / "times.csv").write_bytes(content)
    with pytest.raises(SpecError, match="CE302") as caught:
        read_times(tmp_path / "times.csv")
    (fault,) = caught.value.faults
    assert fault.code == "CE302"
    assert message in fault.message
    assert "width,multiplicity,seconds" in fault.help


@pytest.mark.parametrize("name", ["none.csv", "folder"])
def test_what_is_no_file_is_said(name, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpecError, match=f"CE301: .*{name} is not a file"):
        read_times(tmp_path / name)
