//! The program: see [`hcddl::cli`].

fn main() -> std::process::ExitCode {
    hcddl::cli::main_with(&hcddl::Registry::default())
}
