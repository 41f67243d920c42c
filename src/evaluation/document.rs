//! A report as blocks, written as Markdown or as one HTML file that needs nothing beside it. (As PDF: [`crate::report`].)

/// A picture of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// File name, also its name in Markdown.
    pub file: String,
    /// What it shows, for those who cannot see it.
    pub alt: String,
    pub png: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// 1 is the title.
    Heading(u8, String),
    Text(String),
    /// Set apart.
    Warning(String),
    List(Vec<String>),
    /// The first column names the row.
    Table {
        caption: String,
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// A picture's file name.
    Picture(String),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    pub title: String,
    /// What must stand on every page where the document has pages; may be empty.
    pub standing: String,
    pub blocks: Vec<Block>,
}

impl Document {
    /// Markdown with tables as GitHub reads them; a picture is a link to `folder` beside the file, or a sentence where there is none.
    pub fn markdown(&self, pictures: &[Picture], folder: Option<&str>) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            match block {
                Block::Heading(level, text) => {
                    out += &format!("{} {}\n\n", "#".repeat(usize::from(*level)), markdown_text(text));
                }
                Block::Text(text) => out += &format!("{}\n\n", markdown_text(text)),
                Block::Warning(text) => out += &format!("> **{}**\n\n", markdown_text(text)),
                Block::List(items) => {
                    items.iter().for_each(|item| out += &format!("- {}\n", markdown_text(item)));
                    out.push('\n');
                }
                Block::Table { caption, head, rows } => out += &markdown_table(caption, head, rows),
                Block::Picture(file) => {
                    let picture = pictures.iter().find(|picture| picture.file == *file);
                    if let (Some(picture), Some(folder)) = (picture, folder) {
                        out += &format!("![{}]({folder}{})\n\n", markdown_text(&picture.alt), picture.file);
                    }
                }
            }
        }
        out
    }

    /// One file, pictures inside.
    pub fn html(&self, pictures: &[Picture]) -> String {
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
            escaped(&self.title)
        );
        for block in &self.blocks {
            match block {
                Block::Heading(level, text) => out += &format!("<h{level}>{}</h{level}>\n", escaped(text)),
                Block::Text(text) => out += &format!("<p>{}</p>\n", escaped(text)),
                Block::Warning(text) => out += &format!("<p class=\"warning\">{}</p>\n", escaped(text)),
                Block::List(items) => {
                    let items: String = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
                    out += &format!("<ul>{items}</ul>\n");
                }
                Block::Table { caption, head, rows } => out += &html_table(caption, head, rows),
                Block::Picture(file) => {
                    if let Some(picture) = pictures.iter().find(|picture| picture.file == *file) {
                        out += &format!(
                            "<figure><img{} alt=\"{}\" src=\"data:image/png;base64,{}\"></figure>\n",
                            width(&picture.png).map(|px| format!(" width=\"{}\"", px / 2)).unwrap_or_default(),
                            escaped(&picture.alt),
                            base64(&picture.png)
                        );
                    }
                }
            }
        }
        out + "</main>\n</body>\n</html>\n"
    }
}

const STYLE: &str = "\
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0; }
main { max-width: 78rem; margin: 0 auto; padding: 1.5rem; }
p, ul { max-width: 62rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1.05rem; margin-top: 1.5rem; }
.warning { border-left: 4px solid #b45309; background: #fff7ed; padding: .6rem .9rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #888; }
tbody th { font-weight: 400; min-width: 7em; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
";

/// Names and reasons may come from files: nothing in them may become markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn markdown_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn markdown_table(caption: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| markdown_text(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", " --- |".repeat(head.len()));
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("**{}**\n\n{}{rule}{rows}\n", markdown_text(caption), line(head))
}

/// A cell with spaces that do not break where a break would part what is read together: a short number, an interval, a ratio.
/// "0.81 (0.74 to 0.87)" may break before the parenthesis only.
pub fn unbroken(cell: &str) -> String {
    const SHORT: usize = 16;
    const KEPT: &str = "\u{a0}";
    let has_digit = |text: &str| text.contains(|c: char| c.is_ascii_digit());
    let cell = cell.replace(" : ", "\u{a0}:\u{a0}");
    if has_digit(&cell) && cell.chars().count() <= SHORT {
        return cell.replace(' ', KEPT);
    }
    let mut out = String::with_capacity(cell.len());
    let mut rest = cell.as_str();
    while let Some(open) = rest.find('(') {
        let (before, from) = rest.split_at(open);
        out += before;
        let end = from.find(')').map_or(from.len(), |close| close + 1);
        let (inside, after) = from.split_at(end);
        let keep = has_digit(inside) && inside.chars().count() <= SHORT + 2;
        out += &if keep { inside.replace(' ', KEPT) } else { inside.to_owned() };
        rest = after;
    }
    out + rest
}

fn html_table(caption: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let heads: String = head.iter().map(|cell| format!("<th scope=\"col\">{}</th>", escaped(cell))).collect();
    let row = |cells: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| match column {
            0 => format!("<th scope=\"row\">{}</th>", escaped(&unbroken(cell))),
            _ => format!("<td>{}</td>", escaped(&unbroken(cell))),
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
        escaped(caption)
    )
}

/// Pixels across a PNG (its first chunk, PNG 11.2.1). Pictures are drawn for twice their place, so that they are sharp.
fn width(png: &[u8]) -> Option<u32> {
    let bytes: [u8; 4] = png.get(16..20)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes)).filter(|_| png.starts_with(b"\x89PNG"))
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let word = (at(0) << 16) | (at(1) << 8) | at(2);
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standards() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, code) in pairs {
            assert_eq!(base64(text.as_bytes()), code);
        }
    }

    #[test]
    fn what_is_read_together_stays_together() {
        assert_eq!(unbroken("0.812 (0.741 to 0.867)"), "0.812 (0.741\u{a0}to\u{a0}0.867)");
        assert_eq!(unbroken("below C7"), "below\u{a0}C7");
        assert_eq!(unbroken("Images of (199 : 3592)"), "Images of (199\u{a0}:\u{a0}3592)");
        assert_eq!(
            unbroken("a long name (of many more words, 2) of a row"),
            "a long name (of many more words, 2) of a row"
        );
        assert_eq!(
            [unbroken("open (2"), unbroken("no more than words"), unbroken("")],
            ["open\u{a0}(2", "no more than words", ""]
        );
    }

    #[test]
    fn text_from_files_becomes_no_markup() {
        let document = Document {
            title: "<b>".into(),
            standing: String::new(),
            blocks: vec![
                Block::Text("<script>alert(1)</script>".into()),
                Block::Table { caption: "c".into(), head: vec!["a".into()], rows: vec![vec!["x|y*z\n".into()]] },
                Block::Picture("p.png".into()),
            ],
        };
        let picture = Picture { file: "p.png".into(), alt: "\"quoted\"".into(), png: b"foo".to_vec() };
        let html = document.html(std::slice::from_ref(&picture));
        assert!(!html.contains("<script>") && html.contains("alt=\"&quot;quoted&quot;\"") && html.contains("Zm9v"));
        let markdown = document.markdown(&[picture], Some("plots/"));
        assert!(markdown.contains("| x\\|y\\*z  |") && markdown.contains("](plots/p.png)"), "{markdown}");
        assert!(!document.markdown(&[], None).contains("p.png"));
    }
}
