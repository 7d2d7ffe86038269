"""URLs of sources: what may not stand in one, in words that repeat no secret."""

import pytest

from raypipe.data.source.url import split, url_problems


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/a b/ü=1/[x].parquet",
        "s3://bucket",
        "gs://bucket_1.with-signs/data/*.csv",
        "abfss://container@account.dfs.core.windows.net/data",
        "https://data.example.org/flights.csv",
        "http://data.example.org:8080/a/b.parquet",
        "https://[2001:4860:4860::8888]/a.csv",
    ],
)
def test_good_ones(url):
    assert url_problems(url) == []


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://KEY:canary@bucket/a", "path has a user, a key or a password in front of bucket"),
        ("s3://canary@bucket/a", "credentials by the environment or a role"),
        ("https://user:canary@data.example.org/a.csv", "in front of data.example.org"),
        ("abfss://container:canary@account.dfs.core.windows.net/a", "in front of account.dfs.core.windows.net"),
        ("s3://bucket/k?endpoint_override=169.254.169.254&secret_key=canary", "path s3://bucket/k has options behind `?`"),
        ("https://data.example.org/a.csv?X-Amz-Signature=canary", "has options behind `?`"),
        ("abfss://container@169.254.169.254/a", "'container@169.254.169.254' is no Azure storage"),
        ("abfss://container@account.dfs.core.windows.net.evil.example/a", "is no Azure storage"),
        ("s3://bucket/../other/a", "path has `..` in it"),
        ("s3://", "'' is no name of a bucket"),
        ("s3://[::1]/a", "'[::1]' is no name of a bucket"),
        ("https:///a.csv", "'' is no host"),
        ("https://a b/a.csv", "'a b' is no host"),
        ("https://data.example.org/", "is read as one file"),
        ("https://data.example.org/*.csv", "is read as one file"),
        ("file:///etc/passwd", "path begins with file://: write the path itself"),
        ("s3a://bucket/a", "s3a://, which is not read: s3, gs, abfss, http and https are; mount or copy the rest. Write s3://"),
        ("ftp://host/a", "ftp://, which is not read"),
        ("hdfs://host/a", "hdfs://, which is not read"),
    ],
)
def test_bad_ones_are_told(url, text):
    (problem,) = url_problems(url)
    assert text in problem
    assert "canary" not in problem


def test_a_key_is_taken_as_it_is():
    assert split("s3://bucket/a%20b/c#1?.csv") == ("s3", "bucket", "a%20b/c#1?.csv")
