import Glibc

/// Who a process of the program is. The main one makes its own; a child is given one.
struct ProcessIdentity: Sendable {
  /// Whose child it is.
  struct Parent: Sendable {
    var name: String
    var process: Int32
    /// Readable once the parent has ended.
    var sentinel: OwnedDescriptor
  }

  var name: String
  /// Its place among the children of its parent, after that of the parent: empty for the main one.
  var place: [UInt32]
  var isDaemon: Bool
  var authenticationKey: [UInt8]
  /// nil in the main process.
  var parent: Parent?

  /// The main process, with a key of its own making.
  static func main() -> ProcessIdentity {
    var generator = SystemRandomNumberGenerator()
    let key = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    return ProcessIdentity(
      name: "MainProcess", place: [], isDaemon: false, authenticationKey: key)
  }

  /// The name of its child number `count`, if it is given none: `Process-1`, and `Process-1:2` for
  /// the second child of that.
  func childName(_ count: UInt32) -> String {
    "Process-" + (place + [count]).map(String.init).joined(separator: ":")
  }
}
