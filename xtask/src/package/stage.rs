//! Stages the files of the packages at their installed paths.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Processor, epoch};
use crate::shell;

/// Folders that differ between Debian and Fedora: `(in a deb, in an rpm)`.
const FOLDERS: [(&str, &str); 1] = [("usr/share/zsh/vendor-completions/", "usr/share/zsh/site-functions/")];
/// A file that only a deb has.
const DEB_ALONE: &str = "usr/share/doc/trafcalc/changelog.gz";

/// Folders of `trafcalc/dist/`, and where they are installed: files for monitoring systems, which usually run on other hosts, and files that
/// `ship` is used with.
const DIST_FOLDERS: [(&str, &str); 4] = [
    ("clickhouse", "usr/share/trafcalc"),
    ("grafana", "usr/share/doc/trafcalc"),
    ("postgresql", "usr/share/trafcalc"),
    ("prometheus", "usr/share/doc/trafcalc"),
];

/// Stages everything anew, as a deb has it.
pub(super) fn lay_out(program: &Path, processor: Processor, date: &str, stage: &Path) -> Result<()> {
    if stage.exists() {
        fs::remove_dir_all(stage).with_context(|| format!("cannot remove {}", stage.display()))?;
    }
    let source = shell::workspace();
    let place = |from: &Path, to: &str| copy(from, &stage.join(to));
    place(program, "usr/sbin/trafcalc")?;
    for file in files(&source.join("trafcalc/dist"))? {
        let name = file_name(&file);
        let Some(path) = place_of(&name) else { bail!("nobody says where {} goes", file.display()) };
        place(&file, &path)?;
    }
    for (folder, place_of_folder) in DIST_FOLDERS {
        for file in files(&source.join("trafcalc/dist").join(folder))? {
            place(&file, &format!("{place_of_folder}/{folder}/{}", file_name(&file)))?;
        }
    }
    for file in [source.join("README.md"), source.join("CHANGELOG.md")] {
        place(&file, &format!("usr/share/doc/trafcalc/{}", file_name(&file)))?;
    }
    for file in files(&source.join("trafcalc/docs")).unwrap_or_default() {
        place(&file, &format!("usr/share/doc/trafcalc/{}", file_name(&file)))?;
    }
    write_changelog(&stage.join("usr/share/doc/trafcalc/changelog"))?;
    let writer = (processor.rpm() == std::env::consts::ARCH).then_some(program);
    documents(writer, date, stage)
}

/// Changes the staged configuration so that it asks for maps of another size.
pub(super) fn change_layout(stage: &Path) -> Result<()> {
    let path = stage.join("etc/trafcalc.toml");
    let text = fs::read_to_string(&path)?;
    let changed = with_other_layout(&text).context("the configuration has no max_accounts")?;
    Ok(fs::write(path, changed)?)
}

fn with_other_layout(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("max_accounts = "))?;
    Some(text.replace(line, "max_accounts = 300"))
}

/// The installed path of a file of `trafcalc/dist/`.
fn place_of(name: &str) -> Option<String> {
    match name {
        "trafcalc.toml" => Some("etc/trafcalc.toml".into()),
        "trafcalc.logrotate" => Some("etc/logrotate.d/trafcalc".into()),
        "trafcalc.sysusers" => Some("usr/lib/sysusers.d/trafcalc.conf".into()),
        "trafcalc.tmpfiles" => Some("usr/lib/tmpfiles.d/trafcalc.conf".into()),
        "trafcalc-ebpf-only.conf" => Some(format!("usr/share/doc/trafcalc/{name}")),
        unit if unit.ends_with(".service") => Some(format!("usr/lib/systemd/system/{unit}")),
        _ => None,
    }
}

/// Makes man pages and completions. A program for another architecture cannot write them, so one built for this machine
/// does.
fn documents(writer: Option<&Path>, date: &str, stage: &Path) -> Result<()> {
    let written = super::folder().join("documents");
    if written.exists() {
        fs::remove_dir_all(&written)?;
    }
    let mut write = match writer {
        Some(program) => Command::new(program),
        None => shell::cargo(["run", "--quiet", "--package", "trafcalc", "--"]),
    };
    shell::run(write.args(["documents", "--date", date]).arg(&written))?;
    for page in files(&written.join("man"))? {
        let section = file_name(&page).rsplit('.').next().unwrap_or_default().to_owned();
        let place = stage.join(format!("usr/share/man/man{section}/{}", file_name(&page)));
        copy(&page, &place)?;
        compress(&place)?;
    }
    let completions = [
        ("trafcalc.bash", "usr/share/bash-completion/completions/trafcalc"),
        ("_trafcalc", "usr/share/zsh/vendor-completions/_trafcalc"),
        ("trafcalc.fish", "usr/share/fish/vendor_completions.d/trafcalc.fish"),
    ];
    completions.iter().try_for_each(|(name, place)| copy(&written.join("completions").join(name), &stage.join(place)))
}

/// Debian's changelog of this version, in its own format.
fn write_changelog(path: &Path) -> Result<()> {
    let date = shell::output(Command::new("date").args(["--utc", "--rfc-email", "--date", &format!("@{}", epoch()?)]))?;
    let text = format!(
        "trafcalc ({}) unstable; urgency=medium\n\n  * What changed is in CHANGELOG.md beside this file.\n\n -- The trafcalc \
         developers <trafcalc@packages.example>  {}\n",
        env!("CARGO_PKG_VERSION"),
        date.trim()
    );
    fs::write(path, text)?;
    compress(path)
}

/// The list of an rpm's files, for cargo-generate-rpm.
pub(super) fn rpm_assets(stage: &Path) -> Result<String> {
    let line = |file: &PathBuf| {
        let source = file.to_str().context("a path is not UTF-8")?;
        let path = file.strip_prefix(stage)?.to_str().context("a path is not UTF-8")?;
        Ok(rpm_asset(path).map(|asset| format!("  {{ source = \"{source}\", {asset} }},\n")))
    };
    let lines = all_files(stage)?.iter().filter_map(|file| line(file).transpose()).collect::<Result<String>>()?;
    Ok(format!("assets = [\n{lines}]\n"))
}

fn rpm_asset(path: &str) -> Option<String> {
    if path == DEB_ALONE {
        return None;
    }
    let moved = FOLDERS.iter().find_map(|(deb, rpm)| Some(format!("{rpm}{}", path.strip_prefix(deb)?)));
    let destination = moved.unwrap_or_else(|| path.to_owned());
    let mode = if path.starts_with("usr/sbin/") { "755" } else { "644" };
    let kind = match path {
        path if path.starts_with("etc/") => ", config = \"noreplace\"",
        path if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") => ", doc = true",
        _ => "",
    };
    Some(format!("dest = \"/{destination}\", mode = \"{mode}\"{kind}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a path has a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Compresses `x` to `x.gz`, without a name or a time in it.
fn compress(path: &Path) -> Result<()> {
    shell::output(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(path)).map(drop)
}

/// The files of a folder, sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// All files below a folder, sorted by path.
pub(super) fn all_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(all_files(&path)?);
        }
    }
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_can_ask_for_another_layout() {
        let text = fs::read_to_string(shell::workspace().join("trafcalc/dist/trafcalc.toml")).unwrap();
        let changed = with_other_layout(&text).unwrap();
        assert!(changed != text && changed.contains("\nmax_accounts = 300\n"));
        assert_eq!(with_other_layout("#max_accounts = 5"), None);
    }

    #[test]
    fn each_file_to_install_has_a_place() {
        let dist = files(&shell::workspace().join("trafcalc/dist")).unwrap();
        assert!(dist.len() >= 4, "{dist:?}");
        for file in dist {
            assert!(place_of(&file_name(&file)).is_some(), "{}", file.display());
        }
    }

    #[test]
    fn each_unit_has_its_line_in_the_scripts_of_the_package() {
        let manifest = fs::read_to_string(shell::workspace().join("trafcalc/Cargo.toml")).unwrap();
        for file in files(&shell::workspace().join("trafcalc/dist")).unwrap() {
            let name = file_name(&file);
            if let Some(unit) = name.strip_suffix(".service") {
                assert!(manifest.contains(&format!("unit-name = \"{unit}\"")), "{unit} is not in systemd-units");
            }
        }
    }

    #[test]
    fn an_rpm_has_its_own_folders_and_keeps_changed_configuration() {
        let zsh = rpm_asset("usr/share/zsh/vendor-completions/_trafcalc").unwrap();
        assert_eq!(zsh, "dest = \"/usr/share/zsh/site-functions/_trafcalc\", mode = \"644\"");
        assert!(rpm_asset("etc/trafcalc.toml").unwrap().ends_with("mode = \"644\", config = \"noreplace\""));
        assert!(rpm_asset("usr/sbin/trafcalc").unwrap().contains("mode = \"755\""));
        assert_eq!(rpm_asset(DEB_ALONE), None);
    }
}
