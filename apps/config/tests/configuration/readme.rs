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
    let router = kcptun_config::options::router_options();
    for spec in kcptun_config::options::all_options().chain(router) {
        assert!(page.contains(&format!("`{}`", spec.flag())), "{} is missing", spec.flag());
    }
    for cipher in kcptun_config::Crypt::NAMES {
        assert!(page.contains(&format!("`{cipher}`")), "nothing on {cipher}");
    }
}

/// The table of figures stands in two languages, and names the run whose rows it links to.
#[test]
fn both_pages_have_the_figures_of_one_run() {
    let page = |name: &str| {
        let path = format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).expect(&path)
    };
    let pages = ["README.md", "README.zh-CN.md"].map(page);
    let link = "tests/bench/results/";
    let results = pages.each_ref().map(|text| {
        let (_, rest) = text.split_once(&format!("]({link}20")).expect("a link to the results");
        format!("{link}20{}", rest.split_once(')').expect("its end").0)
    });
    assert_eq!(results[0], results[1]);
    let results = page(&results[0]);
    let (_, rest) = results.split_once(", commit ").expect("the commit in the first line");
    let (commit, _) = rest.split_once(',').expect("its end");
    for text in &pages {
        assert!(text.contains(commit), "a page has not the commit of its results, {commit}");
    }
    // The cells that are figures in any language: ours and the original's.
    let [english, chinese] = pages.each_ref().map(|text| {
        let (_, rest) = text.split_once("\n| | ").expect("the table of figures");
        let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
        let figures = |row: &str| row.split('|').skip(2).take(2).map(str::to_owned).collect();
        rows.map(figures).collect::<Vec<Vec<String>>>()
    });
    assert!(english.len() > 10, "{english:?}");
    assert_eq!(english, chinese);
}
