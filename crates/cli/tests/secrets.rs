//! What is said of a configuration repeats no secret of it, however it is written and wherever it comes from.

mod common;

use common::{Project, text};

/// An account with this argument, and what else there is.
fn account(password: &str, rest: &str) -> String {
    format!(
        "resource \"proxmox_virtual_environment_user\" \"a\" {{\n  user_id  = \"a@pve\"\n  password = {password}\n}}\n{rest}"
    )
}

/// What is said of it, in words and as JSON, which has the place and not the secret.
fn told(project: &Project, words: &[&str], place: &str) {
    let said = project.fails(words);
    assert!(said.contains(place) && !said.contains("hunter2"), "{said}");
    let output = project.run(&[words, &["--json"]].concat());
    let said = text(&output);
    assert!(output.status.code() == Some(1) && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_wrong_value_of_a_sensitive_argument_is_pointed_at_and_not_shown() {
    for (password, place) in [
        ("[\"hunter2-list\"]", "main.tf:3:14"),
        ("[\n    \"hunter2-list\",\n  ]", "main.tf:3:14"),
        ("base64decode(\"hunter2-text\")", "main.tf:3:"),
        ("\"hunter2-${var.absent}\"", "main.tf:3:"),
        ("tonumber(<<-EOT\n    hunter2-first\n    hunter2-second\n  EOT\n  )", "main.tf:3:"),
        ("jsondecode(<<EOT\n{\"a\": \"hunter2-${path.root}\"\nEOT\n)", "main.tf:3:"),
        ("\"hunter2", "main.tf:3:"),
    ] {
        told(&Project::new(&account(password, "")), &["validate"], place);
    }
}

#[test]
fn a_secret_is_not_shown_where_it_comes_from_either() {
    let local = "locals {\n  users = {\n    bob = { name = tolist(\"bob\"), password = tonumber(\"hunter2-local\") }\n  }\n}\n";
    told(&Project::new(&account("local.users.bob.password", local)), &["validate"], "main.tf:7:");
    told(&Project::new(&account("local.users[\"bob\"][\"password\"]", local)), &["validate"], "main.tf:7:");
    let looped = "locals {\n  all = [{ secret = tonumber(\"hunter2-loop\") }]\n}\n";
    told(
        &Project::new(&account("[for one in local.all : one.secret][0]", looped)),
        &["validate"],
        "main.tf:6:",
    );
    let variable = "variable \"word\" {\n  type      = number\n  default   = \"hunter2-default\"\n  sensitive = true\n}\n";
    told(&Project::new(variable), &["validate"], "main.tf:3:");
}

#[test]
fn what_is_called_sensitive_is_not_shown_wherever_it_stands() {
    let faulty = "locals {\n  a = tonumber(sensitive(\"hunter2-local\"))\n}\n";
    told(&Project::new(faulty), &["validate"], "main.tf:2:");
    let led = "locals {\n  word = tonumber(\"hunter2-led\")\n  a = sensitive(local.word)\n}\n";
    told(&Project::new(led), &["validate"], "main.tf:2:");
    let looped = "locals {\n  a = [for word in [\"hunter2-one\"] : tonumber(sensitive(word))]\n}\n";
    told(&Project::new(looped), &["validate"], "main.tf:2:");
    let argument =
        "resource \"terraform_data\" \"a\" {\n  input = tonumber(sensitive(\"hunter2-input\"))\n}\n";
    told(&Project::new(argument), &["validate"], "main.tf:2:");
    let project = Project::new(
        "module \"m\" {\n  source = \"./m\"\n  n      = tonumber(sensitive(\"hunter2-n\"))\n}\n",
    );
    project.write("m/main.tf", "variable \"n\" {}\noutput \"n\" {\n  value = var.n\n}\n");
    told(&project, &["validate"], "main.tf:3:");
}

#[test]
fn a_secret_that_a_module_is_given_is_not_shown_in_the_call() {
    let project =
        Project::new("module \"m\" {\n  source = \"./m\"\n  word   = tonumber(\"hunter2-argument\")\n}\n");
    project.write("m/main.tf", &account("var.word", "variable \"word\" {}\n"));
    told(&project, &["validate"], "main.tf:3:");
}

#[test]
fn values_of_secret_variables_are_not_shown_in_files_and_options() {
    let variables = "variable \"word\" {\n  type      = list(number)\n  sensitive = true\n}\n";
    let project = Project::new(variables);
    told(&project, &["plan", "-var", "word=[\"hunter2-"], "<-var word>:1");
    project.write("a.auto.tfvars", "word = [\"hunter2-file\"]\n");
    told(&project, &["plan"], "a.auto.tfvars:1:");
    project.write("a.auto.tfvars", "word = \"hunter2-open\n");
    told(&project, &["plan"], "a.auto.tfvars:1:");
    // A text that has no end, no quotes or no sign before it.
    let text = "variable \"word\" {\n  type      = any\n  sensitive = true\n}\n";
    let project = Project::new(text);
    for (file, values) in [
        ("a.auto.tfvars", "word = 'hunter2-quotes'\n"),
        ("a.auto.tfvars", "word = hunter2-bare\n"),
        ("a.auto.tfvars", "word \"hunter2-sign\"\n"),
        ("a.auto.tfvars", "word = {\n  a = \"b\"\n  c \"hunter2-nested\"\n}\n"),
        ("a.auto.tfvars.json", "{\"word\": {\"a\": \"hunter2-json\", \"b\": x}}"),
    ] {
        project.write(file, values);
        told(&project, &["plan"], file);
        std::fs::remove_file(project.path().join(file)).unwrap();
    }
    // What becomes a password is as secret as one that is called so.
    let project = Project::new(&account("var.word", "variable \"word\" {\n  type = string\n}\n"));
    project.write("a.auto.tfvars", "word = [\"hunter2-file\"]\n");
    told(&project, &["plan"], "a.auto.tfvars:1:");
}

#[test]
fn words_beside_a_secret_are_no_secrets_and_those_that_get_into_it_are() {
    let rest = "locals {\n  words = { webserver = \"hunter2-word\" }\n}\n\
                resource \"proxmox_virtual_environment_pool\" \"webserver\" {\n  pool_id = 1 + [\"webserver\"]\n}\n";
    for password in [
        "lookup(local.words, \"webserver\", \"hunter2-else\")",
        "replace(\"hunter2-of-webserver\", \"webserver\", \"hunter2-it\")",
        "trimsuffix(\"hunter2-webserver\", \"webserver\")",
    ] {
        let project = Project::new(&account(password, rest));
        let said = project.fails(&["validate"]);
        assert!(said.contains("webserver") && !said.contains("hunter2"), "{password}: {said}");
    }
    // The line is hidden all the same.
    told(
        &Project::new(&account("tonumber(lookup({}, \"hunter2-key\", \"hunter2\"))", "")),
        &["validate"],
        "main.tf:3:",
    );
    told(
        &Project::new(&account("tonumber(format(\"hunter2-%s\", \"hunter2\"))", "")),
        &["validate"],
        "main.tf:3:",
    );
}

#[test]
fn a_line_without_a_secret_is_shown() {
    for password in ["var.absent", "tolist(local.word)"] {
        let project = Project::new(&account(password, "locals {\n  word = \"hunter2-local\"\n}\n"));
        let said = project.fails(&["validate"]);
        assert!(said.contains(&format!("password = {password}")) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn secrets_reach_neither_disk_nor_screen() {
    let secret = "hunter2-hunter2-hunter2";
    let project = Project::new(
        "variable \"s\" {\n  sensitive = true\n}\nresource \"terraform_data\" \"a\" {\n  input = var.s\n}\noutput \"s\" {\n  value = var.s\n  sensitive = true\n}\n",
    );
    let given = format!("s={secret}");
    let mut said = text(&project.run(&["plan", "-out", "p.plan", "-var", &given]));
    for words in [&["apply", "p.plan"][..], &["show", "p.plan"], &["show"], &["log", "--events"], &["output"]]
    {
        said.push_str(&text(&project.run(words)));
    }
    assert!(!said.contains(secret), "{said}");
    let mut folders = vec![project.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} has the secret", path.display());
        }
    }
}

/// What kinds, functions and the cluster say of a value repeats it.
#[test]
fn what_is_made_of_a_secret_stays_one_and_is_no_change() {
    let of = |sensitive: bool| {
        format!(
            "variable \"s\" {{\n  default = \"hunter2\"\n  sensitive = {sensitive}\n}}\nresource \"terraform_data\" \"a\" \
             {{\n  input = {{ x = var.s }}\n}}\n"
        )
    };
    let project = Project::new(&of(true));
    project.ok(&["apply", "-auto-approve"]);
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(!project.ok(&["state", "show", "terraform_data.a"]).contains("hunter2"));
    project.write("main.tf", &of(false));
    assert!(project.ok(&["apply", "-auto-approve"]).contains("1 changed"));
    assert!(project.ok(&["plan"]).contains("No changes."));
    assert!(project.ok(&["state", "show", "terraform_data.a"]).contains("hunter2"));
}

#[test]
fn messages_about_sensitive_values_do_not_show_them() {
    let secret = "hunter2/hunter2";
    let guest = |lines: &str| {
        format!(
            "resource \"proxmox_virtual_environment_vm\" \"v\" {{\n  node_name = \"pve\"\n  started = false\n{lines}}}\n"
        )
    };
    let disk = "  disk {\n    interface = \"scsi0\"\n    size = 3\n    datastore_id = var.s\n  }\n";
    let output = |value: &str| format!("output \"o\" {{\n  value = {value}\n  sensitive = true\n}}\n");
    let wrong = [
        guest("  name = var.s\n"),
        guest("  tags = [var.s]\n"),
        guest(disk),
        output("cidrhost(var.s, 1)"),
        output("file(var.s)"),
        output("{ a = 1 }[var.s]"),
    ];
    for body in wrong {
        let project = Project::new(&format!("variable \"s\" {{\n  sensitive = true\n}}\n{body}"));
        let given = [("TF_VAR_s", secret)];
        let applied = project.run_with(&given, &["apply", "--simulate", "-auto-approve"]);
        assert!(!applied.status.success(), "{body}");
        let said = text(&applied) + &text(&project.run(&["log"]));
        assert!(said.contains("(sensitive value)"), "{body}: {said}");
        assert!(!said.contains(secret), "{body}: {said}");
    }
}
