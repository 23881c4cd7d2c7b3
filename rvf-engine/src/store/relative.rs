//! The path of a parent as its branch names it: from the folder of the branch, with `/`, so that both can be moved together.

use rvf_format::lineage::MAX_PARENT_PATH;
use std::path::{Component, Path, PathBuf};

/// How a file in the folder of `branch` names `parent`. Where no relative path leads there, the absolute one; where the path is longer
/// than the format allows or no text, the name alone: parents are known by their ids.
pub(crate) fn relative(branch: &Path, parent: &Path) -> String {
    let (branch, parent) = (absolute(branch), absolute(parent));
    let folder = branch.parent().unwrap_or(Path::new(""));
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), parent.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let path = match shared {
        0 => parent.clone(),
        _ => {
            let up = from.iter().skip(shared).map(|_| Component::ParentDir);
            up.chain(to.iter().skip(shared).copied()).collect::<PathBuf>()
        }
    };
    let text = path.to_str().map(|text| text.replace(std::path::MAIN_SEPARATOR, "/"));
    let fits = |text: &String| (1..=MAX_PARENT_PATH).contains(&text.len()) && !text.contains('\0');
    text.filter(fits).unwrap_or_else(|| {
        let name = parent.file_name().map(|name| name.to_string_lossy().into_owned());
        name.filter(fits).unwrap_or_else(|| "parent.rvf".to_owned())
    })
}

/// Absolute, with the links of its folder followed where there is one.
fn absolute(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    match (folder, absolute.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_folder_of_the_branch() {
        let cases = [
            ("/nowhere/a/child.rvf", "/nowhere/a/base.rvf", "base.rvf"),
            ("/nowhere/a/b/child.rvf", "/nowhere/a/base.rvf", "../base.rvf"),
            ("/nowhere/child.rvf", "/nowhere/a/b/base.rvf", "a/b/base.rvf"),
            ("/nowhere/x/child.rvf", "/nowhere/y/base.rvf", "../y/base.rvf"),
        ];
        for (branch, parent, expected) in cases {
            assert_eq!(relative(Path::new(branch), Path::new(parent)), expected);
        }
        let long = format!("/nowhere/{}/base.rvf", "long/".repeat(1000));
        assert_eq!(relative(Path::new("/nowhere/child.rvf"), Path::new(&long)), "base.rvf");
    }
}
