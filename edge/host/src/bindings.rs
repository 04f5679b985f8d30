//! Bindings of the Spin interfaces, generated from `wit/`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "spin-imports",
    imports: {
        "spin:key-value/key-value": store | trappable,
        "spin:key-value/key-value.[drop]store": trappable,
        "spin:variables/variables": store,
    },
    with: {
        "spin:key-value/key-value.store": crate::key_value::OpenStore,
    },
    require_store_data_send: true,
});
