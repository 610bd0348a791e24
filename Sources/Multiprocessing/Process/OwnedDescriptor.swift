import Glibc

/// A descriptor that is closed with the last reference to it, so that nobody who still waits at it
/// can meet another file under its number.
final class OwnedDescriptor: Sendable {
  let number: Int32

  /// Takes over a descriptor.
  init(_ number: Int32) {
    self.number = number
  }

  deinit { close(number) }
}
