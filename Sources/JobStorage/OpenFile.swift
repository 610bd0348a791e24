/// A file that a `FileSystem` has opened: a small number that means something to it alone.
public struct OpenFile: Hashable, Sendable {
  /// What a file is opened for.
  public enum Use: Hashable, Sendable {
    /// To read what is there.
    case reading
    /// To append to what is there.
    case appending
    /// To append to a file that is made (0600), or emptied if there is one.
    case creating
  }

  /// The number; a descriptor in the real file system.
  public let number: Int32

  /// Makes a name for an open file.
  public init(number: Int32) {
    self.number = number
  }
}
