import Glibc

/// A descriptor that is closed with the last reference to it, so that nobody who still waits at it
/// can meet another file under its number.
///
/// For what is used until it is dropped, like a sentinel. What its users may close while others
/// wait for it is an `OpenDescriptor`: that takes a lock for each use, and an event for the wait.
final class OwnedDescriptor: Sendable {
  let number: Int32

  /// Takes over a descriptor.
  init(_ number: Int32) {
    self.number = number
  }

  deinit { close(number) }
}
