//! The table of parameters in README is that of the programs.

const BEGIN: &str =
    "<!-- parameters: written by `UPDATE_SNAPSHOTS=1 cargo test -p kcptun-config` -->\n";
const END: &str = "<!-- end of parameters -->";

#[test]
fn readme_has_every_parameter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(path).expect("the README");
    let (before, rest) = readme.split_once(BEGIN).expect("the mark in front of the table");
    let (found, after) = rest.split_once(END).expect("the mark behind the table");
    let table = kcptun_config::markdown_table();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::write(path, [before, BEGIN, &table, END, after].concat())
            .expect("to write README");
        return;
    }
    assert!(found == table, "README's table differs; UPDATE_SNAPSHOTS=1 rewrites it");
}

/// The Chinese page is written by hand; at least it names every flag.
#[test]
fn the_chinese_page_names_every_parameter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.zh-CN.md");
    let page = std::fs::read_to_string(path).expect("the page");
    for spec in kcptun_config::options::all_options() {
        assert!(page.contains(&format!("`{}`", spec.flag())), "{} is missing", spec.flag());
    }
}
