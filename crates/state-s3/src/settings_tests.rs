//! Blocks as teams write them, and what is wrong with others.

use pve_model::Type;

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn text(value: &str) -> Value {
    Value::string(value)
}

fn read(arguments: &[(&str, Value)]) -> Result<Settings, Vec<SettingsError>> {
    let arguments = arguments.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    Settings::from_arguments(&arguments, &nothing)
}

fn with(more: &[(&str, Value)]) -> Result<Settings, Vec<SettingsError>> {
    let least =
        [("bucket", text("states")), ("key", text("infra/pve.tfstate")), ("region", text("eu-west-1"))];
    read(&[&least[..], more].concat())
}

fn faults(more: &[(&str, Value)]) -> Vec<String> {
    with(more).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_usual_block_is_read() {
    let settings = with(&[
        ("encrypt", Value::bool(true)),
        ("kms_key_id", text("alias/states")),
        ("dynamodb_table", text("locks")),
        ("profile", text("ops")),
        ("acl", Value::null(Type::String)),
    ])
    .unwrap();
    assert_eq!(settings.bucket, "states");
    assert_eq!(settings.encryption, Encryption::Kms("alias/states".into()));
    assert_eq!(settings.profile.as_deref(), Some("ops"));
    assert_eq!(settings.remarks.len(), 1);
    assert!(settings.remarks[0].starts_with("dynamodb_table"));
    assert_eq!(settings.layout("default").batch(1), "infra/pve.tfstate.pve/log/00000000000000000001");
    assert_eq!(settings.layout("prod").prefix(), "env:/prod/infra/pve.tfstate.pve");
}

#[test]
fn a_block_for_another_store_is_read() {
    let endpoints = Value::object(BTreeMap::from([("s3".into(), text("https://s3.example.org"))]));
    let settings = with(&[
        ("endpoints", endpoints),
        ("use_path_style", text("true")),
        ("skip_credentials_validation", Value::bool(true)),
        ("access_key", text("AKIA")),
        ("secret_key", text("hunter2")),
    ])
    .unwrap();
    assert_eq!(settings.endpoint.as_deref(), Some("https://s3.example.org"));
    assert!(settings.path_style);
    assert_eq!(settings.credentials.as_ref().unwrap().secret_key.expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let told: Vec<String> = read(&[]).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        "backend \"s3\": bucket is missing",
        "backend \"s3\": key is missing",
        "backend \"s3\": region is missing; give it, or set AWS_REGION or AWS_DEFAULT_REGION",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_environment_stands_in_for_region_and_endpoint() {
    let variable = |name: &str| match name {
        "AWS_DEFAULT_REGION" => Some("us-east-1".to_string()),
        "AWS_ENDPOINT_URL_S3" => Some("http://127.0.0.1:9000".to_string()),
        _ => None,
    };
    let arguments = BTreeMap::from([("bucket".into(), text("b")), ("key".into(), text("k"))]);
    let settings = Settings::from_arguments(&arguments, &variable).unwrap();
    assert_eq!(settings.region, "us-east-1");
    assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
}

#[test]
fn what_cannot_be_used_is_told_with_its_reason() {
    for (arguments, expected) in [
        (vec![("bukket", text("x"))], "backend \"s3\" has no argument bukket"),
        (
            vec![("insecure", text("true"))],
            "backend \"s3\": insecure cannot be used: certificates are always checked, since the log would go to \
             whoever answers; name their issuer in custom_ca_bundle",
        ),
        (vec![("key", text("/infra"))], "backend \"s3\": key must not begin or end with \"/\""),
        (vec![("encrypt", text("maybe"))], "backend \"s3\": encrypt must be true or false"),
        (vec![("bucket", Value::bool(true))], "backend \"s3\": bucket must be a string"),
        (
            vec![("bucket", Value::unknown(Type::String))],
            "backend \"s3\": bucket must be known before anything is read",
        ),
        (vec![("access_key", text("AKIA"))], "backend \"s3\": access_key needs secret_key"),
        (vec![("token", text("t"))], "backend \"s3\": token needs access_key and secret_key"),
        (
            vec![("sse_customer_key", text("short"))],
            "backend \"s3\": sse_customer_key must be 32 bytes in base64",
        ),
        (
            vec![("dynamodb_endpoint", text("dynamodb.example.org"))],
            "backend \"s3\": endpoints.dynamodb must be a URL that begins with https:// or http://",
        ),
        (
            vec![("endpoint", text("s3.example.org"))],
            "backend \"s3\": endpoints.s3 must be a URL that begins with https:// or http://",
        ),
    ] {
        assert_eq!(faults(&arguments), [expected]);
    }
}

#[test]
fn the_kinds_of_encryption_are_told_apart() {
    let yes = || ("encrypt", Value::bool(true));
    assert_eq!(with(&[]).unwrap().encryption, Encryption::Bucket);
    assert_eq!(with(&[yes()]).unwrap().encryption, Encryption::Aes256);
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let customer = with(&[yes(), ("sse_customer_key", text(key))]).unwrap();
    assert!(matches!(customer.encryption, Encryption::Customer(found) if found.expose() == key));
}

#[test]
fn roles_tokens_proxies_and_other_endpoints_are_read() {
    let object = |entries: &[(&str, Value)]| {
        Value::object(entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    };
    let role = object(&[
        ("role_arn", text("arn:aws:iam::1:role/r")),
        ("duration", text("1h30m")),
        ("tags", object(&[("team", text("infra"))])),
    ]);
    let token =
        object(&[("role_arn", text("arn:aws:iam::1:role/w")), ("web_identity_token_file", text("/t"))]);
    let settings = with(&[
        ("assume_role", role),
        ("assume_role_with_web_identity", token),
        ("endpoints", object(&[("sts", text("https://sts.example.org"))])),
        ("sts_region", text("us-east-1")),
        ("use_dualstack_endpoint", text("true")),
        ("https_proxy", text("http://proxy:3128")),
        ("no_proxy", text("example.org")),
        ("max_retries", text("5")),
    ])
    .unwrap();
    let role = settings.assume_role.unwrap();
    assert_eq!(role.duration, Some(std::time::Duration::from_secs(5400)));
    assert_eq!(role.tags, [("team".to_string(), "infra".to_string())]);
    assert_eq!(settings.web_identity.unwrap().token_file, "/t");
    assert_eq!(settings.sts_endpoint.as_deref(), Some("https://sts.example.org"));
    assert_eq!((settings.dual_stack, settings.fips, settings.endpoint), (true, false, None));
    assert_eq!(settings.https_proxy.as_deref(), Some("http://proxy:3128"));
    assert_eq!(settings.remarks.len(), 1);
    let older = with(&[("role_arn", text("r")), ("assume_role_duration_seconds", text("900"))]).unwrap();
    assert_eq!(older.assume_role.unwrap().duration, Some(std::time::Duration::from_secs(900)));
    assert_eq!(
        faults(&[("assume_role_with_web_identity", object(&[]))]),
        ["backend \"s3\": assume_role_with_web_identity needs role_arn, and web_identity_token or \
             web_identity_token_file"]
    );
}

#[test]
fn accounts_are_allowed_or_forbidden_and_not_both() {
    let list = || Value::list(Type::String, vec![text("111122223333")]);
    assert_eq!(with(&[("allowed_account_ids", list())]).unwrap().allowed_accounts, ["111122223333"]);
    assert_eq!(with(&[("forbidden_account_ids", list())]).unwrap().forbidden_accounts, ["111122223333"]);
    assert_eq!(
        faults(&[("allowed_account_ids", list()), ("forbidden_account_ids", list())]),
        ["backend \"s3\": allowed_account_ids cannot be given together with forbidden_account_ids"]
    );
}

#[test]
fn the_environment_stands_in_as_it_does_for_terraform() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let variable = |name: &str| match name {
        "AWS_S3_ENDPOINT" => Some("http://127.0.0.1:9000".to_string()),
        "AWS_STS_ENDPOINT" => Some("http://127.0.0.1:9001".to_string()),
        "AWS_DYNAMODB_ENDPOINT" => Some("http://127.0.0.1:9002".to_string()),
        "AWS_SSE_CUSTOMER_KEY" => Some(key.to_string()),
        "AWS_REGION" => Some("eu-west-1".to_string()),
        "HOME" => Some("/home/ann".to_string()),
        _ => None,
    };
    let read = |more: &[(&str, Value)]| {
        let least = [("bucket", text("b")), ("key", text("k"))];
        let all = [&least[..], more].concat().into_iter().map(|(name, value)| (name.into(), value)).collect();
        Settings::from_arguments(&all, &variable)
    };
    let settings = read(&[
        ("encrypt", Value::bool(true)),
        ("custom_ca_bundle", text("~/ca.pem")),
        ("workspace_key_prefix", text("")),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(settings.sts_endpoint.as_deref(), Some("http://127.0.0.1:9001"));
    assert_eq!(settings.dynamodb_endpoint.as_deref(), Some("http://127.0.0.1:9002"));
    assert!(matches!(&settings.encryption, Encryption::Customer(found) if found.expose() == key));
    assert_eq!(settings.ca_bundle.as_deref(), Some("/home/ann/ca.pem"));
    assert_eq!(settings.state_key("prod"), "prod/k");
    assert_eq!(read(&[]).unwrap().encryption, Encryption::Bucket);
    let both = read(&[("encrypt", Value::bool(true)), ("kms_key_id", text("alias/a"))]).unwrap_err();
    assert!(both[0].to_string().contains("together with kms_key_id"), "{both:?}");
}

/// The arguments of Terraform 1.11 and OpenTofu 1.12, from their documentation.
#[test]
fn every_argument_of_terraform_and_of_opentofu_is_known() {
    let known = "access_key acl allowed_account_ids assume_role assume_role_duration_seconds assume_role_policy \
        assume_role_policy_arns assume_role_tags assume_role_transitive_tag_keys assume_role_with_web_identity bucket \
        custom_ca_bundle dynamodb_endpoint dynamodb_table ec2_metadata_service_endpoint \
        ec2_metadata_service_endpoint_mode encrypt endpoint endpoints external_id forbidden_account_ids \
        force_path_style http_proxy https_proxy iam_endpoint insecure key kms_key_id lock_tags max_retries no_proxy \
        profile region retry_mode role_arn secret_key session_name shared_config_files shared_credentials_file \
        shared_credentials_files skip_credentials_validation skip_metadata_api_check skip_region_validation \
        skip_requesting_account_id skip_s3_checksum sse_customer_key state_tags sts_endpoint sts_region token \
        use_dualstack_endpoint use_fips_endpoint use_legacy_workflow use_lockfile use_path_style workspace_key_prefix";
    for name in known.split_whitespace() {
        let null = with(&[(name, Value::null(Type::String))]);
        let unknown = |errors: Vec<SettingsError>| {
            errors
                .iter()
                .any(|error| matches!(error, SettingsError::Unknown(_) | SettingsError::Unsupported { .. }))
        };
        assert!(!null.is_err_and(unknown), "{name}");
    }
    let refused = faults(&[("ec2_metadata_service_endpoint", text("http://127.0.0.1"))]);
    assert!(refused[0].contains("set AWS_EC2_METADATA_SERVICE_ENDPOINT"), "{refused:?}");
}

#[test]
fn an_endpoint_has_no_password_which_would_be_told_and_kept() {
    let at = |endpoint: &str| Value::object(BTreeMap::from([("s3".into(), text(endpoint))]));
    let refused = faults(&[("endpoints", at("https://ann:hunter2@store.example:9000/path"))]);
    assert!(refused[0].contains("must be without a user") && !refused[0].contains("hunter2"), "{refused:?}");
    let settings = with(&[("endpoints", at("https://store.example:9000/x@y/"))]).unwrap();
    assert_eq!(
        settings.place("default"),
        "s3://states/infra/pve.tfstate.pve at https://store.example:9000/x@y"
    );
}
