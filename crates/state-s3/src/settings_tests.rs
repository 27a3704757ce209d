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
        (vec![("insecure", text("true"))], "backend \"s3\": insecure is not supported by pve yet"),
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
    assert_eq!(settings.proxy.as_deref(), Some("http://proxy:3128"));
    assert_eq!(settings.remarks.len(), 1);
    let older = with(&[("role_arn", text("r")), ("assume_role_duration_seconds", text("900"))]).unwrap();
    assert_eq!(older.assume_role.unwrap().duration, Some(std::time::Duration::from_secs(900)));
    assert_eq!(
        faults(&[("assume_role_with_web_identity", object(&[]))]),
        ["backend \"s3\": assume_role_with_web_identity needs role_arn and web_identity_token_file"]
    );
}
