//! Prints headlines of a day, to judge by eye how they read: `cargo run -p mediaflow-simulator --example sample`.

use mediaflow_simulator::world;

fn main() {
    let items = world(1, 20_778).items;
    for item in items.iter().step_by(items.len() / 60) {
        println!("{:<16} {}", item.brand().slug, item.title);
    }
    println!("\n{}", items[700].story.body_html(1));
}
