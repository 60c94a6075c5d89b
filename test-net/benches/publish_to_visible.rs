//! How long a video takes from the answer to its upload until friends list it.
fn main() {}
