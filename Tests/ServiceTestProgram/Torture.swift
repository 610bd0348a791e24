import Glibc
import Multiprocessing
import TestSupport

/// A task that says of itself when it runs twice at the same time, for `Tests/torture.sh`.
///
/// It holds an exclusive flock(2) of a file of its job while it runs. The lock goes with the
/// process, however that ends, so whoever finds it taken runs beside another attempt of the job.
enum Torture {
  /// What an attempt does.
  struct Order: Codable, Sendable {
    /// Where the files are: `<name>.lock` of each job, `runs`, `twice`.
    var folder: String
    /// The job, as its client calls it.
    var name: String
    /// How long it takes.
    var milliseconds: Int
    /// How it ends: `return`, `raise`, `exit`, or `signal`.
    var end: String
    /// After how many attempts it returns after all, if it would do otherwise before.
    var failures: Int
    /// What it brings along, which makes it large.
    var filling: String
    /// How many letters it answers.
    var letters: Int
  }

  /// What it answers.
  struct Answer: Codable, Sendable {
    var name: String
    var fillingBytes: Int
    var letters: String
  }

  /// Why it raised.
  struct Raised: Error, CustomStringConvertible {
    var description: String
  }

  /// `torture(…)`: see `Order`.
  static let task = TaskDefinition<Order, Answer>("torture") { order in
    let path = "\(order.folder)/\(order.name).lock"
    let lock = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw Raised(description: "open: \(errno)") }
    defer { close(lock) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      note(order.name, "twice", of: order)
      throw Raised(description: "runs twice at the same time")
    }
    // A byte for each attempt, so that the next one knows how many there were.
    _ = write(lock, ".", 1)
    note(order.name, "runs", of: order)
    let attempts = lseek(lock, 0, Int32(SEEK_END))
    last(milliseconds: order.milliseconds)
    if attempts <= order.failures { try fail(order) }
    return Answer(
      name: order.name, fillingBytes: order.filling.utf8.count,
      letters: String(repeating: "y", count: order.letters))
  }

  private static func fail(_ order: Order) throws {
    switch order.end {
    case "raise": throw Raised(description: "as ordered: \(order.name)")
    case "exit": _exit(7)
    case "signal": raise(SIGKILL)
    default: break
    }
  }

  /// Appends a line by one write, which O_APPEND makes whole.
  private static func note(_ name: String, _ file: String, of order: Order) {
    let descriptor = open(
      "\(order.folder)/\(file)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    var line = "\(name) \(getpid())\n"
    line.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
  }
}
