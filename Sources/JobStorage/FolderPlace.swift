internal import Glibc
internal import JobCore

/// Whether the data folder is still where it was opened: not removed, not put in the place of
/// another, its file system not unmounted.
///
/// Open files go on without a name: a write to a segment that was removed succeeds, is synced, and
/// is lost with the process. So what is written counts only while the lock has its name.
struct FolderPlace {
  /// How long one look is good for, in milliseconds. It is a system call, and appends come by the
  /// thousand a second; what is acknowledged in so short a time goes the way of the folder.
  static let lookAfter: Milliseconds = 100

  private let path: String
  private let lock: OpenFile
  private var lookAt: Instant

  /// The folder was found at `instant`, and its lock, `path`, opened as `lock`.
  init(lock: OpenFile, path: String, at instant: Instant) {
    self.lock = lock
    self.path = path
    lookAt = instant.advanced(byMilliseconds: FolderPlace.lookAfter)
  }

  /// Looks, if the last look is too old.
  ///
  /// - Throws: `callFailed`; then the next call looks again.
  mutating func check(_ fileSystem: any FileSystem, at instant: Instant) throws(StorageError) {
    guard instant >= lookAt else { return }
    guard try fileSystem.isNamed(lock, path) else {
      throw StorageError(
        .callFailed, path: path,
        reason: "the data folder that was opened is not there any more: it was removed, replaced "
          + "or unmounted")
    }
    lookAt = instant.advanced(byMilliseconds: FolderPlace.lookAfter)
  }
}

extension FileSystem {
  /// Whether `path` is the name of an open file. A file system whose folders do not go away need
  /// not look.
  public func isNamed(_ file: OpenFile, _ path: String) throws(StorageError) -> Bool { true }
}
