//! Who can open what after keyrings were changed, and what somebody without a key can do to them.

use super::*;

fn file(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn ring_of(key: &Key) -> Keyring {
    Keyring::first(Uuid::nil(), Identity::of("ann", key).unwrap(), key, false).unwrap()
}

fn opens(ring: &Keyring, key: &Key) -> usize {
    ring.unlock(key).map_or(0, |keys| keys.len())
}

#[test]
fn recipients_open_everything_and_those_removed_nothing_that_comes() {
    let (ann, bob) = (file(1), file(2));
    let ring = ring_of(&ann);
    assert_eq!((opens(&ring, &ann), opens(&ring, &bob)), (1, 0));
    let bobs = Identity::parse("bob", &recipient_text(&bob).unwrap()).unwrap();
    let both = ring.changed(&ann, KeyringChange::Add(bobs.clone())).unwrap();
    assert_eq!((opens(&both, &ann), opens(&both, &bob)), (1, 1));
    let rotated = both.changed(&bob, KeyringChange::Rotate).unwrap();
    assert_eq!((rotated.revision, opens(&rotated, &ann), opens(&rotated, &bob)), (3, 2, 2));
    let alone = rotated.changed(&ann, KeyringChange::Remove("bob".into())).unwrap();
    assert_eq!((opens(&alone, &ann), opens(&alone, &bob)), (3, 0));
    let error = alone.unlock(&bob).unwrap_err().to_string();
    assert!(error.contains("another key, for ann"), "{error}");
    for (ring, change) in [
        (&both, KeyringChange::Add(bobs)),
        (&both, KeyringChange::Remove("eve".into())),
        (&alone, KeyringChange::Remove("ann".into())),
    ] {
        assert!(matches!(ring.changed(&ann, change), Err(KeyError::Refused(_))));
    }
}

#[test]
fn a_passphrase_is_a_recipient_with_a_salt_of_its_own() {
    let passphrase = |text: &str| Key::of_passphrase(text.into(), "test");
    let (one, other) =
        (ring_of(&passphrase("correct horse battery")), ring_of(&passphrase("correct horse battery")));
    assert_ne!(one.recipients[0].salt, other.recipients[0].salt);
    assert_ne!(one.recipients[0].public, other.recipients[0].public);
    assert_eq!(opens(&one, &passphrase("correct horse battery")), 1);
    assert_eq!(opens(&one, &passphrase("correct house battery")), 0);
    // Fifteen characters.
    assert!(matches!(Identity::of("ci", &passphrase("correct horse b")), Err(KeyError::Short)));
    let team = one
        .changed(
            &passphrase("correct horse battery"),
            KeyringChange::Add(Identity::of("desk", &file(1)).unwrap()),
        )
        .unwrap();
    assert_eq!((opens(&team, &file(1)), opens(&team, &passphrase("correct horse battery"))), (1, 1));
}

#[test]
fn the_key_of_an_old_log_is_kept_for_its_events() {
    let ann = file(1);
    let ring = Keyring::first(Uuid::nil(), Identity::of("ann", &ann).unwrap(), &ann, true).unwrap();
    let keys = ring.unlock(&ann).unwrap();
    assert_eq!(*keys[0].bytes(&[]).unwrap(), [1; 32]);
    assert_eq!((keys.len(), ring.is_old(0), ring.is_old(1)), (2, true, false));
}

#[test]
fn who_has_no_key_cannot_change_a_keyring() {
    let ann = file(1);
    let ring = ring_of(&ann).changed(&ann, KeyringChange::Rotate).unwrap();
    // Mallory knows ann's public half, and wraps a key of her own for ann.
    let identity = Identity::of("ann", &ann).unwrap();
    let keys = [Zeroizing::new([9; 32]), Zeroizing::new([9; 32])];
    let forged = |prover: Option<&Key>| {
        let to = vec![(identity.clone(), Timestamp::now())];
        Keyring::wrap(Uuid::nil(), 3, false, &keys, to, prover).unwrap()
    };
    assert!(matches!(forged(None).unlock(&ann), Err(KeyError::Forged)));
    // With a proof by her own key it is one of another log: none of its events opens with these keys, and it does not
    // take the place of one that is known.
    let by_herself = forged(Some(&file(9)));
    let known = crate::Seal::new(Uuid::nil(), ann.clone(), Some(ring.clone()));
    assert!(matches!(known.with_ring(by_herself.clone()), Err(KeyError::Forged)));
    assert!(known.with_ring(ring.changed(&ann, KeyringChange::Rotate).unwrap()).is_ok());
    // Nor of one that was seen by a process before.
    let seen = known.known_keys(None).unwrap();
    let now = |ring: &Keyring| {
        let seal = crate::Seal::new(Uuid::nil(), ann.clone(), Some(ring.clone()));
        seal.known_keys(Some(seen.count)).unwrap()
    };
    assert_ne!(now(&by_herself), seen);
    assert_ne!(now(&ring_of(&ann)), seen, "too few of them");
    assert_eq!(now(&ring.changed(&ann, KeyringChange::Rotate).unwrap()), seen);
    let theirs: Vec<_> = ring.unlock(&ann).unwrap().iter().map(|key| *key.bytes(&[]).unwrap()).collect();
    for key in by_herself.unlock(&ann).unwrap() {
        assert!(!theirs.contains(&*key.bytes(&[]).unwrap()));
    }
    let mut edited = ring.clone();
    edited.recipients[0].name = "eve".into();
    assert!(matches!(edited.unlock(&ann), Err(KeyError::Forged)));
    let mut older = ring;
    older.revision = 1;
    assert!(matches!(older.unlock(&ann), Err(KeyError::Forged)));
}
