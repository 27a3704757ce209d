//! End-to-end tests of the whole system; the tests are in `tests/`.
