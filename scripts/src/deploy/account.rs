//! What wrangler does in the account: bucket, Worker, previews.

use anyhow::{Context, Result};
use serde_json::Value;

use super::alias::Alias;
use crate::command::Cmd;
use crate::node::Node;

/// Sees to it that the bucket `name` exists.
pub fn ensure_bucket(node: &Node, name: &str) -> Result<()> {
    let bucket = |action: &str| node.wrangler("r2").args(["bucket", action, name]);
    if bucket("info").is_success() {
        return Ok(());
    }
    bucket("create").run_aside().with_context(|| {
        format!(
            "there is no bucket {name} that can be used, and none can be made. Log in with `npx wrangler login` or set \
             CLOUDFLARE_API_TOKEN; R2 must be enabled in the account"
        )
    })
}

/// Deploys the Worker; returns the addresses it is at.
pub fn deploy(node: &Node) -> Result<Vec<String>> {
    addresses(node.wrangler("deploy"), "targets")
}

/// Deploys the Worker as the preview `alias`; returns the addresses it is at.
pub fn deploy_preview(node: &Node, alias: &Alias) -> Result<Vec<String>> {
    let preview = node.wrangler("preview").args(["--name", &alias.to_string()]);
    addresses(preview.args(["--var", &format!("PREVIEW:{alias}")]), "preview_urls")
}

/// Deletes the preview `alias`.
pub fn delete_preview(node: &Node, alias: &Alias) -> Result<()> {
    node.wrangler("preview").args(["delete", "--skip-confirmation", "--name", &alias.to_string()]).run_aside()
}

/// Runs wrangler; returns what it notes under `field` for other programs.
fn addresses(wrangler: Cmd, field: &str) -> Result<Vec<String>> {
    let notes = tempfile::NamedTempFile::new()?;
    wrangler.env("WRANGLER_OUTPUT_FILE_PATH", notes.path()).run_aside()?;
    Ok(addresses_in(&std::fs::read_to_string(notes.path())?, field))
}

/// A JSON object a line, one of which has the addresses.
fn addresses_in(notes: &str, field: &str) -> Vec<String> {
    let lines = notes.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lists = lines.filter_map(|note| note[field].as_array().cloned());
    lists.flatten().filter_map(|address| address.as_str().map(url)).collect()
}

/// The address that wrangler names `example.com` or `example.com (custom domain)`.
fn url(name: &str) -> String {
    let host = name.split_once(' ').map_or(name, |(host, _)| host);
    if host.contains("://") { host.into() } else { format!("https://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_wrangler_s_notes() {
        let notes = "{\"type\":\"wrangler-session\",\"version\":1}\n\
                     {\"type\":\"preview\",\"preview_urls\":[\"https://x-edgebox.a.workers.dev\"]}\n\nnonsense\n";
        assert_eq!(addresses_in(notes, "preview_urls"), ["https://x-edgebox.a.workers.dev"]);
        assert!(addresses_in(notes, "targets").is_empty());
        let notes = r#"{"type":"deploy","targets":["edgebox.a.workers.dev","box.example (custom domain)"]}"#;
        assert_eq!(addresses_in(notes, "targets"), ["https://edgebox.a.workers.dev", "https://box.example"]);
    }
}
