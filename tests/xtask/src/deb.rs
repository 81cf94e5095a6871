//! The Debian package, from the same description that `cargo deb` reads:
//! `[package.metadata.deb]` in the manifest of the programs.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, Workspace, output, run};
use crate::{dist, man, needs};

/// The package of the workspace that is described.
const PACKAGE: &str = "kcptun";

/// Builds the package from the programs in the directory `binaries`, or as they are released;
/// answers a summary.
pub(crate) fn run_task(workspace: &Workspace, binaries: Option<&Path>) -> Result<String, Failure> {
    let binaries = match binaries {
        Some(given) => given.to_owned(),
        None => dist::build(workspace, None)?,
    };
    let file = build(workspace, &binaries)?;
    Ok(file.display().to_string())
}

/// Builds the package from the programs in the directory `binaries`; answers its path.
pub(crate) fn build(workspace: &Workspace, binaries: &Path) -> Result<PathBuf, Failure> {
    needs::ensure(needs::DEB)?;
    man::write(workspace, &binaries.join(PACKAGE))?;
    let description = Description::read(workspace)?;
    let folder = workspace.target.join("debian");
    let tree = folder.join(&description.name);
    let _ = fs::remove_dir_all(&tree);
    for asset in &description.assets {
        asset.install(binaries, &workspace.target, &tree)?;
    }
    let license = read(&description.license)?;
    let copyright = tree.join("usr/share/doc").join(&description.name).join("copyright");
    put(&copyright, &description.copyright(&license), 0o644)?;
    let depends = description.depends(&folder, &tree)?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let size = output(Command::new("du").args(["-sk", "--apparent-size"]).arg(&tree))?;
    let size = size.split_whitespace().next().unwrap_or("0").to_owned();
    let sums = checksums(&tree)?;
    let debian = tree.join("DEBIAN");
    put(&debian.join("md5sums"), &sums, 0o644)?;
    put(&debian.join("control"), &description.control(architecture, &size, &depends), 0o644)?;
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let source = description.scripts.join(script);
        if source.is_file() {
            put(&debian.join(script), &read(&source)?, 0o755)?;
        }
    }
    let (name, version) = (&description.name, &description.version);
    let file = folder.join(format!("{name}_{version}_{architecture}.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zxz", "--build"]).args([&tree, &file]);
    pack.env("SOURCE_DATE_EPOCH", dist::source_date(workspace)?.to_string());
    run("dpkg-deb --build", &mut pack)?;
    Ok(file)
}

/// What the manifest says of the package.
struct Description {
    name: String,
    version: String,
    maintainer: String,
    summary: String,
    details: String,
    license: PathBuf,
    scripts: PathBuf,
    /// Of the control file, in its order; `Depends` still has its `$auto`.
    fields: Vec<(&'static str, String)>,
    assets: Vec<Asset>,
}

/// A file of the package.
struct Asset {
    source: Source,
    destination: PathBuf,
    mode: u32,
}

/// Where a file comes from.
enum Source {
    /// A program, by its name.
    Binary(PathBuf),
    /// Made beforehand, in the target directory.
    Made(PathBuf),
    File(PathBuf),
}

impl Description {
    fn read(workspace: &Workspace) -> Result<Self, Failure> {
        let text = output(&mut workspace.cargo("metadata --format-version 1 --no-deps"))?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| Failure(format!("cargo metadata: {error}")))?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let package = packages.into_iter().find(|package| package["name"] == PACKAGE);
        package
            .and_then(Self::parse)
            .ok_or_else(|| Failure(format!("package {PACKAGE}: bad [package.metadata.deb]")))
    }

    /// `None` if something is missing or not of its type.
    fn parse(package: &Value) -> Option<Self> {
        let deb = &package["metadata"]["deb"];
        let text = |value: &Value| value.as_str().map(String::from);
        let manifest = Path::new(package["manifest_path"].as_str()?).parent()?;
        let revision = deb["revision"].as_str().unwrap_or("1");
        let fields = [
            ("Section", "section"),
            ("Priority", "priority"),
            ("Depends", "depends"),
            ("Provides", "provides"),
            ("Conflicts", "conflicts"),
            ("Replaces", "replaces"),
        ];
        let fields = fields.into_iter().filter_map(|(field, key)| Some((field, text(&deb[key])?)));
        let assets = deb["assets"].as_array()?.iter();
        Some(Self {
            name: text(&deb["name"])?,
            version: format!("{}-{revision}", package["version"].as_str()?),
            maintainer: text(&package["authors"][0])?,
            summary: text(&package["description"])?,
            details: text(&deb["extended-description"])?,
            license: manifest.join(deb["license-file"][0].as_str()?),
            scripts: manifest.join(deb["maintainer-scripts"].as_str()?),
            fields: fields.collect(),
            assets: assets.map(|asset| Asset::parse(asset, manifest)).collect::<Option<_>>()?,
        })
    }

    /// The dependencies, with those on libraries in place of `$auto`.
    fn depends(&self, folder: &Path, tree: &Path) -> Result<String, Failure> {
        let found = self.fields.iter().find(|(field, _)| *field == "Depends");
        let Some((_, depends)) = found.filter(|(_, depends)| depends.contains("$auto")) else {
            return Ok(found.map(|(_, depends)| depends.clone()).unwrap_or_default());
        };
        // The tool insists on a source package around it.
        put(
            &folder.join("debian/control"),
            "Source: any\n\nPackage: any\nArchitecture: any\n",
            0o644,
        )?;
        let mut tool = Command::new("dpkg-shlibdeps");
        tool.current_dir(folder).arg("-O");
        for asset in &self.assets {
            if matches!(asset.source, Source::Binary(_)) {
                tool.arg(tree.join(&asset.destination));
            }
        }
        let libraries = output(&mut tool)?;
        let libraries = libraries.trim().strip_prefix("shlibs:Depends=");
        let libraries = libraries.ok_or_else(|| Failure("dpkg-shlibdeps: no answer".into()))?;
        Ok(depends.replace("$auto", libraries))
    }

    fn control(&self, architecture: &str, size: &str, depends: &str) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: {architecture}\nMaintainer: {}\n\
             Installed-Size: {size}\n",
            self.name, self.version, self.maintainer
        );
        for (field, value) in &self.fields {
            let value = if *field == "Depends" { depends } else { value };
            let _ = writeln!(text, "{field}: {value}");
        }
        let _ = writeln!(text, "Description: {}", self.summary);
        for line in self.details.lines() {
            // An empty line would end the field.
            let _ = writeln!(text, " {}", if line.is_empty() { "." } else { line });
        }
        text
    }

    fn copyright(&self, license: &str) -> String {
        format!(
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
             Upstream-Name: {PACKAGE}\nCopyright: {}\n\n{license}",
            self.maintainer
        )
    }
}

impl Asset {
    fn parse(asset: &Value, manifest: &Path) -> Option<Self> {
        let (source, destination) = (asset[0].as_str()?, asset[1].as_str()?);
        let name = Path::new(source).file_name()?;
        let mut target = PathBuf::from(destination);
        if destination.ends_with('/') {
            target.push(name);
        }
        // The places of the target directory as the manifest and `cargo deb` see them.
        let source = if let Some(binary) = source.strip_prefix("target/release/") {
            Source::Binary(binary.into())
        } else if let Some(made) = source.strip_prefix("../../target/") {
            Source::Made(made.into())
        } else {
            Source::File(manifest.join(source))
        };
        let mode = u32::from_str_radix(asset[2].as_str()?, 8).ok()?;
        Some(Self { source, destination: target, mode })
    }

    fn install(&self, binaries: &Path, made: &Path, tree: &Path) -> Result<(), Failure> {
        let source = match &self.source {
            Source::Binary(name) => binaries.join(name),
            Source::Made(path) => made.join(path),
            Source::File(path) => path.clone(),
        };
        let target = tree.join(&self.destination);
        copy(&source, &target, self.mode)?;
        // As Debian wants its man pages, and `cargo deb` makes them.
        if self.destination.starts_with("usr/share/man") {
            output(Command::new("gzip").args(["-9", "-n", "-f"]).arg(&target))?;
        }
        Ok(())
    }
}

/// Copies a file and its folders, with a mode.
pub(crate) fn copy(source: &Path, target: &Path, mode: u32) -> Result<(), Failure> {
    let failed = |error| Failure(format!("{} to {}: {error}", source.display(), target.display()));
    fs::create_dir_all(target.parent().unwrap_or(target)).map_err(failed)?;
    fs::copy(source, target).map_err(failed)?;
    fs::set_permissions(target, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failed = |error| Failure(format!("{}: {error}", path.display()));
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, text).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure(format!("{}: {error}", path.display())))
}

/// By which `dpkg --verify` finds changed files.
fn checksums(tree: &Path) -> Result<String, Failure> {
    let script = "find usr -type f | LC_ALL=C sort | xargs md5sum";
    output(Command::new("sh").current_dir(tree).args(["-ec", script]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_read_as_cargo_deb_reads_it() {
        let package = serde_json::json!({
            "name": "kcptun", "version": "1.2.3", "authors": ["Somebody"],
            "description": "a summary", "manifest_path": "/src/apps/kcptun/Cargo.toml",
            "metadata": { "deb": {
                "name": "its-name", "depends": "$auto, more", "conflicts": "other",
                "extended-description": "first\n\nsecond",
                "license-file": ["../LICENSE", "0"], "maintainer-scripts": "../scripts/",
                "assets": [
                    ["target/release/program", "usr/bin/", "755"],
                    ["page.txt", "usr/share/doc/other.txt", "644"],
                    ["../../target/man/program.1", "usr/share/man/man1/", "644"],
                ],
            } },
        });
        let description = Description::parse(&package).unwrap();
        assert_eq!(description.license, Path::new("/src/apps/kcptun/../LICENSE"));
        let [program, page, man] = description.assets.as_slice() else { panic!("three") };
        assert!(matches!(&man.source, Source::Made(path) if path == Path::new("man/program.1")));
        assert!(matches!(&program.source, Source::Binary(name) if name == Path::new("program")));
        assert_eq!(program.destination, Path::new("usr/bin/program"));
        assert_eq!((program.mode, page.mode), (0o755, 0o644));
        assert_eq!(page.destination, Path::new("usr/share/doc/other.txt"));
        assert_eq!(
            description.control("amd64", "7", "libc6, more"),
            "Package: its-name\nVersion: 1.2.3-1\nArchitecture: amd64\nMaintainer: Somebody\n\
             Installed-Size: 7\nDepends: libc6, more\nConflicts: other\n\
             Description: a summary\n first\n .\n second\n"
        );
        let mut broken = package;
        broken["metadata"]["deb"]["assets"][0][2] = "rwx".into();
        assert!(Description::parse(&broken).is_none());
    }
}
