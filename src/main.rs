//! The `vaecert` program; everything is in the library's [`vaecert::cli`].

fn main() -> std::process::ExitCode {
    vaecert::cli::run()
}
