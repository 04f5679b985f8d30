use super::*;
use std::collections::BTreeMap;

#[test]
fn the_definitions_of_this_release_hold() {
    check(all(), CONSUMERS).unwrap();
    let count = |e| of(e).len();
    // S1-05 asks for 59, S1-02 for 50.
    assert!(count(Entity::Reader) >= 59, "{}", count(Entity::Reader));
    assert!(count(Entity::Session) >= 50, "{}", count(Entity::Session));
    assert_eq!(all().len(), Entity::ALL.map(count).iter().sum::<usize>());
    for d in all() {
        assert!(!d.description.is_empty() && !d.owner.is_empty());
        assert!(
            d.tier == Tier::Contextual || !d.reads.is_empty(),
            "{}",
            d.full_name()
        );
    }
}

#[test]
fn an_empty_state_has_a_value_of_its_type_for_every_feature() {
    let words = Vocabulary::default();
    let now = Timestamp(1_795_248_000_000);
    let (r, i, a, b) = Default::default();
    for state in [
        EntityState::Reader(&r),
        EntityState::Content(&i),
        EntityState::Ad(&a),
        EntityState::Session(&r),
        EntityState::Brand(&b),
    ] {
        let values = evaluate(state, now, &words);
        for (d, v) in of(state.entity()).iter().zip(values) {
            assert!(d.kind.holds(&v), "{}: {v:?}", d.full_name());
        }
    }
}

#[test]
fn whoever_reads_a_feature_that_is_gone_is_named() {
    let without: Vec<_> = all()
        .iter()
        .filter(|d| d.name != "session_depth")
        .cloned()
        .collect();
    let error = check(&without, CONSUMERS).unwrap_err().to_string();
    assert!(
        error.contains("profile blob") && error.contains("reader.session_depth"),
        "{error}"
    );
    let mut twice = all().to_vec();
    twice.push(twice[0].clone());
    assert!(matches!(check(&twice, &[]), Err(CheckError::Twice(_))));
}

#[test]
fn another_version_of_a_fold_changes_what_is_read_from_its_view() {
    let mut folded_anew = VIEWS.to_vec();
    let top = folded_anew.iter_mut().find(|v| v.name == VIEW_TOP);
    top.unwrap().fold_version += 1;
    for d in all() {
        let same = Fingerprint::of(d, VIEWS) == Fingerprint::of(d, &folded_anew);
        assert_eq!(same, d.entity != Entity::Brand, "{}", d.full_name());
    }
}

#[test]
fn a_changed_meaning_needs_a_version_that_its_readers_know() {
    let stored = fingerprints(all(), VIEWS);
    let mut changed = all().to_vec();
    let depth = changed
        .iter_mut()
        .find(|d| d.entity == Entity::Reader && d.name == "session_depth")
        .unwrap();
    depth.reads = &[EventType::View];
    let none = BTreeMap::new();
    let error = check_stored(&changed, CONSUMERS, &stored, &none).unwrap_err();
    assert!(error.to_string().contains("profile blob"), "{error}");
    let nobody = check_stored(&changed, &[], &stored, &none);
    assert_eq!(nobody, Ok(()), "nobody reads it");
    // Raising the version is not enough: the reader must know it.
    let depth = changed.iter_mut().find(|d| d.name == "session_depth");
    depth.unwrap().version = 2;
    assert_eq!(check_stored(&changed, CONSUMERS, &stored, &none), Ok(()));
    assert!(matches!(
        check(&changed, CONSUMERS),
        Err(CheckError::Other { .. })
    ));
}

#[test]
fn a_model_that_wrote_down_what_it_reads_is_named() {
    let model = |line: &str| BTreeMap::from([("model churn-3".to_owned(), line.to_owned())]);
    let none = BTreeMap::new();
    let check = |line| check_stored(all(), CONSUMERS, &none, &model(line));
    assert_eq!(check("reader.recency_days days 1\n"), Ok(()));
    let gone = check("reader.mood count 1").unwrap_err().to_string();
    assert!(
        gone.contains("model churn-3") && gone.contains("reader.mood"),
        "{gone}"
    );
    assert!(check("reader.recency_days days 2").is_err());
}

#[test]
fn a_fingerprint_keeps_its_form() {
    let f = Fingerprint {
        version: 3,
        hash: 0x0102_0304_0506_0708,
    };
    assert_eq!(f.encode(), [0, 3, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(Fingerprint::decode(&f.encode()), Some(f));
    assert_eq!(Fingerprint::decode(b"short"), None);
}
