//! The binary `seedpod`. Everything it does is in the library; see [`seedpod_node::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    seedpod_node::cli::run()
}
