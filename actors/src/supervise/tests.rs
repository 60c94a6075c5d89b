//! Deaths, restarts and stops, with really panicking actors.
