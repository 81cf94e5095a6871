//! A log file that is renamed, deleted or full while it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file that takes lines at its end. Trouble is told once, when it begins; every later line tries
/// again what failed.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// The name is to be opened again, and could not be.
    is_stale: bool,
    /// Whole lines that could not be written since the last that could.
    lost: u64,
    /// The last line was cut short.
    is_torn: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self { path: path.to_owned(), file, is_stale: false, lost: 0, is_torn: false })
    }

    /// Opens the name again. What to tell the user, if it fails for the first time.
    pub(super) fn reopen(&mut self) -> Option<String> {
        match open(&self.path) {
            Ok(file) => {
                (self.file, self.is_stale, self.is_torn) = (file, false, false);
                None
            }
            Err(error) => {
                let is_news = !std::mem::replace(&mut self.is_stale, true);
                is_news.then(|| {
                    let path = self.path.display();
                    format!("error: --log {path}: cannot be opened: {error}; trying again")
                })
            }
        }
    }

    /// Whether the name is still to be opened again: lines go to the file that had it before.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Writes a line, which ends in a newline. What to tell the user, if that fails for the first
    /// time.
    pub(super) fn write_line(&mut self, line: &str) -> Option<String> {
        if self.is_stale {
            self.reopen();
        }
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        if self.lost > 0 {
            // Go's time, as in front of the line itself.
            let time = line.get(..20).unwrap_or_default();
            text.push_str(&format!(
                "{time}warning: {} lines before could not be written\n",
                self.lost
            ));
        }
        text.push_str(line);
        match self.write(text.as_bytes()) {
            Ok(()) => {
                (self.lost, self.is_torn) = (0, false);
                None
            }
            Err(error) => {
                self.lost += 1;
                let path = self.path.display();
                (self.lost == 1).then(|| {
                    format!("error: --log {path}: cannot be written: {error}; trying again")
                })
            }
        }
    }

    /// In one call as a rule, so that lines of several processes do not mix.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.is_torn = bytes[count - 1] != b'\n';
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "2026/01/02 03:04:05 text\n";

    #[test]
    fn a_renamed_file_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut file = LogFile::open(&path).unwrap();
        assert_eq!(file.write_line("1\n"), None);
        std::fs::rename(&path, &old).unwrap();
        assert_eq!(file.write_line("2\n"), None);
        assert_eq!(file.reopen(), None);
        assert_eq!(file.write_line("3\n"), None);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(&old), read(&path)), ("1\n2\n".into(), "3\n".into()));
    }

    #[test]
    fn a_folder_that_is_gone_is_told_once_and_used_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join("log");
        let mut file = LogFile::open(&path).unwrap();
        std::fs::rename(&inner, folder.path().join("away")).unwrap();
        assert!(file.reopen().unwrap().contains("cannot be opened"));
        assert_eq!(file.reopen(), None);
        // The old file is better than none.
        assert_eq!(file.write_line("1\n"), None);
        std::fs::create_dir(&inner).unwrap();
        assert_eq!(file.write_line("2\n"), None);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&folder.path().join("away/log")), "1\n");
        assert_eq!(read(&path), "2\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_once_and_the_loss_counted() {
        let mut file = LogFile::open(Path::new("/dev/full")).unwrap();
        assert!(file.write_line(LINE).unwrap().contains("/dev/full: cannot be written"));
        assert_eq!(file.write_line(LINE), None);
        // Room again, after half a line had found some.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "half").unwrap();
        file.file = open(&path).unwrap();
        file.is_torn = true;
        assert_eq!(file.write_line(LINE), None);
        assert_eq!(file.write_line(LINE), None);
        let expected = format!(
            "half\n2026/01/02 03:04:05 warning: 2 lines before could not be written\n{LINE}{LINE}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
