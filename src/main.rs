//! The program: see [`hcddl::cli`].

fn main() -> std::process::ExitCode {
    hcddl::cli::run(std::env::args_os())
}
