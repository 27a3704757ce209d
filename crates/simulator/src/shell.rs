//! Scripts that clients hand to a node's `bash -c`, as far as they need the shell: variables, a command's output as a
//! word, and pipes into `grep`, `cut` and `tee`. Functions are not run; `try_sudo`, which clients define, runs its
//! arguments, as it does for root.

use std::collections::BTreeMap;

use crate::request::Request;
use crate::tools::{self, Finished};

enum Part {
    Text(String),
    Variable(String),
    /// What a script prints.
    Output(String),
}

type Word = Vec<Part>;

#[derive(Default)]
struct Command {
    words: Vec<Word>,
    /// Its output goes to `/dev/null`.
    quiet: bool,
}

type Pipeline = Vec<Command>;

/// The script of `/bin/bash -c 'SCRIPT'`.
pub(crate) fn script_of(line: &str) -> Option<String> {
    let mut pipelines = Parser::new(line.strip_prefix("/bin/bash -c ")?).parse()?;
    match (pipelines.pop()?.pop()?.words.pop()?.pop()?, pipelines.is_empty()) {
        (Part::Text(script), true) => Some(script),
        _ => None,
    }
}

/// True if a script reads what its client sends.
pub(crate) fn reads_input(script: &str) -> bool {
    let first = |pipeline: &Pipeline| {
        let words = &pipeline.first()?.words;
        Some(words.iter().any(|word| matches!(&word[..], [Part::Text(text)] if text.ends_with("/tee"))))
    };
    Parser::new(script)
        .parse()
        .is_some_and(|pipelines| pipelines.iter().any(|pipeline| first(pipeline) == Some(true)))
}

/// Runs a script as root.
pub(crate) fn run(request: &mut Request<'_>, script: &str, input: &[u8]) -> Finished {
    Shell::default().run(request, script, input)
}

#[derive(Default)]
struct Shell {
    variables: BTreeMap<String, String>,
    /// A failure is the end (`set -e`).
    strict: bool,
    /// The exit code of the last command whose output was a word.
    code: u32,
}

impl Shell {
    fn run(&mut self, request: &mut Request<'_>, script: &str, input: &[u8]) -> Finished {
        // A script that asks whether it is root's takes that branch.
        let branch = script.strip_prefix("if [ \"$(id -u)\" = \"0\" ]; then ");
        let script = branch.map_or(script, |rest| rest.split("; el").next().unwrap_or(rest));
        let Some(pipelines) = Parser::new(script).parse() else { return tools::not_found(script) };
        let mut all = Finished::done(String::new());
        for pipeline in &pipelines {
            let done = self.pipeline(request, pipeline, input);
            all.stdout += &done.stdout;
            all.stderr += &done.stderr;
            all.code = done.code;
            if self.strict && done.code != 0 {
                break;
            }
        }
        all
    }

    fn pipeline(&mut self, request: &mut Request<'_>, pipeline: &Pipeline, input: &[u8]) -> Finished {
        let mut last = Finished::done(String::new());
        let mut errors = String::new();
        let mut flow = input.to_vec();
        for command in pipeline {
            self.code = 0;
            let words: Vec<String> =
                command.words.iter().map(|word| self.expand(request, word, &mut errors)).collect();
            last = self.command(request, &words, &flow);
            if command.quiet {
                last.stdout.clear();
            }
            errors += &last.stderr;
            flow = last.stdout.clone().into_bytes();
        }
        Finished { stderr: errors, ..last }
    }

    fn expand(&mut self, request: &mut Request<'_>, word: &Word, errors: &mut String) -> String {
        let mut text = String::new();
        for part in word {
            match part {
                Part::Text(plain) => text += plain,
                Part::Variable(name) => text += self.variables.get(name).map_or("", String::as_str),
                Part::Output(script) => {
                    let strict = std::mem::take(&mut self.strict);
                    let done = self.run(request, script, &[]);
                    (self.strict, self.code) = (strict, done.code);
                    *errors += &done.stderr;
                    text += done.stdout.trim_end_matches('\n');
                }
            }
        }
        text
    }

    fn command(&mut self, request: &mut Request<'_>, words: &[String], input: &[u8]) -> Finished {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.first() == Some(&"try_sudo") {
            words.remove(0);
        }
        if let Some(name) = words.first_mut() {
            *name = name.strip_prefix("/usr/sbin/").or(name.strip_prefix("/usr/bin/")).unwrap_or(name);
        }
        let text = || String::from_utf8_lossy(input);
        let lines = |lines: Vec<&str>| lines.into_iter().map(|line| format!("{line}\n")).collect::<String>();
        match words.as_slice() {
            [] => Finished::done(String::new()),
            ["set", "-e"] => {
                self.strict = true;
                Finished::done(String::new())
            }
            ["echo", words @ ..] => Finished::done(format!("{}\n", words.join(" "))),
            ["export", word] | [word] if assignment(word).is_some() => {
                if let Some((name, value)) = assignment(word) {
                    self.variables.insert(name.to_owned(), value.to_owned());
                }
                Finished { code: self.code, ..Finished::done(String::new()) }
            }
            ["grep", wanted] => {
                let found = lines(text().lines().filter(|line| line.contains(wanted)).collect());
                Finished { code: u32::from(found.is_empty()), ..Finished::done(found) }
            }
            ["cut", "-d", sign, "-f", number] => {
                let at = number.parse::<usize>().unwrap_or(1) - 1;
                let field = |line| str::split(line, *sign).nth(at).unwrap_or_default();
                Finished::done(lines(text().lines().map(field).collect()))
            }
            ["tee", file] => tools::write(request, file, input, false),
            ["tee", "-a", file] => tools::write(request, file, input, true),
            words => tools::program(request, words),
        }
    }
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let valid = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    (!name.is_empty() && name.chars().all(valid)).then_some((name, value))
}

/// Reads a script; nothing comes of one that has more of the shell than is known here.
struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    pipelines: Vec<Pipeline>,
    pipeline: Pipeline,
    command: Command,
    word: Option<Word>,
}

impl<'a> Parser<'a> {
    fn new(script: &'a str) -> Self {
        let rest = script.chars().peekable();
        Parser { rest, pipelines: Vec::new(), pipeline: Vec::new(), command: Command::default(), word: None }
    }

    fn parse(mut self) -> Option<Vec<Pipeline>> {
        while let Some(sign) = self.rest.next() {
            match sign {
                ' ' | '\t' => self.command.words.extend(self.word.take()),
                ';' | '\n' => self.end_pipeline(),
                '|' if self.rest.peek() != Some(&'|') => self.end_command(),
                '>' => {
                    let target: String =
                        std::iter::from_fn(|| self.rest.next_if(|sign| !matches!(sign, ';' | '\n')))
                            .collect();
                    self.command.quiet = target.trim() == "/dev/null";
                    self.command.quiet.then_some(())?;
                }
                '(' => self.skip_function()?,
                '\'' => {
                    self.push("");
                    let quoted = self.until('\'')?;
                    self.push(&quoted);
                }
                '"' => self.quoted()?,
                '\\' => {
                    let escaped = self.rest.next()?.to_string();
                    self.push(&escaped);
                }
                '$' => self.expansion()?,
                '&' | '|' | '<' | '`' | '*' | '?' | '{' | ')' => return None,
                plain => self.push(plain.encode_utf8(&mut [0; 4])),
            }
        }
        self.end_pipeline();
        Some(self.pipelines)
    }

    fn push(&mut self, text: &str) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => word.push(Part::Text(text.to_owned())),
        }
    }

    fn end_command(&mut self) {
        self.command.words.extend(self.word.take());
        let command = std::mem::take(&mut self.command);
        if !command.words.is_empty() {
            self.pipeline.push(command);
        }
    }

    fn end_pipeline(&mut self) {
        self.end_command();
        if !self.pipeline.is_empty() {
            self.pipelines.push(std::mem::take(&mut self.pipeline));
        }
    }

    /// Up to a sign, which is left out.
    fn until(&mut self, end: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                sign if sign == end => return Some(text),
                sign => text.push(sign),
            }
        }
    }

    fn quoted(&mut self) -> Option<()> {
        self.push("");
        loop {
            match self.rest.next()? {
                '"' => return Some(()),
                '$' => self.expansion()?,
                plain => self.push(plain.encode_utf8(&mut [0; 4])),
            }
        }
    }

    fn expansion(&mut self) -> Option<()> {
        let part = match self.rest.peek()? {
            '(' => {
                self.rest.next();
                Part::Output(self.nested('(', ')')?)
            }
            '{' => {
                self.rest.next();
                Part::Variable(self.until('}')?)
            }
            _ => {
                let valid = |sign: &char| sign.is_ascii_alphanumeric() || *sign == '_';
                Part::Variable(std::iter::from_fn(|| self.rest.next_if(valid)).collect())
            }
        };
        self.word.get_or_insert_default().push(part);
        Some(())
    }

    fn nested(&mut self, open: char, close: char) -> Option<String> {
        let (mut text, mut depth) = (String::new(), 1);
        loop {
            let sign = self.rest.next()?;
            depth += i32::from(sign == open) - i32::from(sign == close);
            if depth == 0 {
                return Some(text);
            }
            text.push(sign);
        }
    }

    /// `NAME(){ ... }`
    fn skip_function(&mut self) -> Option<()> {
        let head = (self.rest.next()?, self.rest.next()?);
        (head == (')', '{')).then_some(())?;
        self.word = None;
        self.nested('{', '}').map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Options, Simulator};

    /// What bpg/proxmox 0.111 puts before its commands.
    const HEAD: &str = "set -e; _try_sudo_check(){ if [ -z \"${_cached:-}\" ]; then _use=\"${USE:-0}\"; fi; }; \
                        try_sudo(){ _try_sudo_check; if [ \"$_use\" = \"1\" ]; then sudo \"$@\"; else \"$@\"; fi; }; ";

    fn bash(simulator: &Simulator, script: &str, input: &str) -> (u32, String, String) {
        let line = format!("/bin/bash -c '{}'", script.replace('\'', "'\"'\"'"));
        let done = simulator.execute(&line, input.as_bytes()).unwrap();
        (done.code, done.stdout, done.stderr)
    }

    fn done(text: &str) -> (u32, String, String) {
        (0, text.to_owned(), String::new())
    }

    #[test]
    fn a_script_puts_what_is_sent_into_a_file() {
        let simulator = Simulator::new(Options::default());
        let probe = "if [ \"$(id -u)\" = \"0\" ]; then echo \"0\"; elif sudo -n x >/dev/null 2>&1; then echo \"1\"; fi";
        assert_eq!(bash(&simulator, probe, ""), done("0\n"));
        let script =
            format!("export TRY_SUDO_USE_SUDO=0; {HEAD}try_sudo /usr/bin/tee /var/lib/vz/snippets/a.yaml");
        assert_eq!(bash(&simulator, &script, "a: 1\n"), done("a: 1\n"));
        assert_eq!(simulator.file("local:snippets/a.yaml").as_deref(), Some("a: 1\n"));
        assert_eq!(bash(&simulator, "tee /nowhere/x", "").0, 1);
    }

    #[test]
    fn a_script_imports_a_disk_and_attaches_it() {
        let simulator = Simulator::new(Options::default());
        simulator.add_file("local:iso/a.img", &[7; 4096]);
        let seed = serde_json::json!({"guests": [{"kind": "qemu", "node": "pve", "vmid": 100}]});
        simulator.seed(&serde_json::from_value(seed).unwrap()).unwrap();
        let import = |file: &str| {
            let script = format!(
                "{HEAD}file_id={file}; vm_id=100; options=discard=on; to=local-lvm; \
                 image=$(try_sudo /usr/sbin/pvesm path $file_id); \
                 disk=$(try_sudo /usr/sbin/qm disk import $vm_id $image $to -format raw | grep unused0 \
                 | cut -d : -f 3 | cut -d \\' -f 1); id=${{to}}:$disk,$options; \
                 try_sudo /usr/sbin/qm set $vm_id -scsi0 $id"
            );
            bash(&simulator, &script, "")
        };
        let (code, _, said) = import("local:iso/b.img");
        // The pipe ends well; the machine refuses a drive without a volume.
        assert_eq!(code, 255);
        assert!(
            said.starts_with("/var/lib/vz/template/iso/b.img: non-existent or non-regular file\n400 "),
            "{said}"
        );
        assert_eq!((import("local:iso/a.img").0, import("none:a").0), (0, 255));
        let drive = simulator.change(|state, _| state.guests[&100].config["scsi0"].clone()).unwrap();
        assert_eq!(drive, "local-lvm:vm-100-disk-0,discard=on,size=4M");
    }

    #[test]
    fn a_script_replaces_the_mapping_of_ids() {
        let simulator = Simulator::new(Options::default());
        simulator.add_file("local:vztmpl/t.tar.zst", b"root");
        let options = serde_json::json!({"ostemplate": "local:vztmpl/t.tar.zst", "rootfs": "local-lvm:1"});
        let guest = serde_json::json!({"kind": "lxc", "node": "pve", "vmid": 101, "options": options});
        let seed = serde_json::json!({ "guests": [guest] });
        simulator.seed(&serde_json::from_value(seed).unwrap()).unwrap();
        for ids in ["u 0 1000 9\nlxc.idmap: g 0 1000 9", "u 0 2000 9"] {
            let script = format!(
                "{HEAD}try_sudo sed -i '/^lxc\\.idmap:/d' /etc/pve/lxc/101.conf; \
                 echo 'lxc.idmap: {ids}' | try_sudo tee -a /etc/pve/lxc/101.conf > /dev/null"
            );
            assert_eq!(bash(&simulator, &script, ""), done(""));
            let lines = simulator.change(|state, _| state.guests[&101].config["lxc"].clone()).unwrap();
            assert_eq!(lines, format!("lxc.idmap: {ids}"));
        }
    }

    #[test]
    fn more_of_the_shell_is_not_run() {
        let simulator = Simulator::new(Options::default());
        for script in
            ["true && id", "ls *", "id `x`", "echo a > /etc/passwd", "a | | b || c", "$(", "echo 'x"]
        {
            assert_eq!(bash(&simulator, script, "").0, 127, "{script}");
        }
    }
}
