//! The trained model that comes with the program, wherever it was started.

use std::path::{Path, PathBuf};

/// Its file name.
pub const NAME: &str = "hiwl-b1.safetensors";

/// The checkout; what is handed out (`.ci/dist`) does not tell where it was built.
const CHECKOUT: Option<&str> = match option_env!("HIWL_DIST") {
    None => Some(env!("CARGO_MANIFEST_DIR")),
    Some(_) => None,
};

/// Where the model is: beside the program, in the `share/hiwl` of the prefix
/// that it is installed in, or in the checkout that it was built from. `None`
/// where none of these has it.
pub fn find() -> Option<PathBuf> {
    let program = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    candidates(program.as_deref()).into_iter().find(|path| path.is_file())
}

fn candidates(program: Option<&Path>) -> Vec<PathBuf> {
    let folder = program.and_then(Path::parent);
    let beside = folder.map(|folder| folder.join(NAME));
    let installed =
        folder.and_then(Path::parent).map(|prefix| prefix.join("share/hiwl").join(NAME));
    let checkout = CHECKOUT.map(|folder| Path::new(folder).join("models").join(NAME));
    beside.into_iter().chain(installed).chain(checkout).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_nearest_to_the_program_wins() {
        let found = candidates(Some(Path::new("/opt/hiwl/bin/hiwl")));
        assert_eq!(found[0], Path::new("/opt/hiwl/bin/hiwl-b1.safetensors"));
        assert_eq!(found[1], Path::new("/opt/hiwl/share/hiwl/hiwl-b1.safetensors"));
        assert!(found[2].ends_with("models/hiwl-b1.safetensors"));
        assert_eq!(candidates(None).len(), 1);
    }
}
