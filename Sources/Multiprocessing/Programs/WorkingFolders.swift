import Glibc

/// The working folders of a pool's calls: made below one folder, removed from there without ever
/// waiting for what a program has left in them.
///
/// The folder of call 17 is `17`. One that is not empty when its call is over is renamed, so that
/// its name is free again, and left to the sweeper, which removes everything named `gone.…`.
///
/// Programs may do what the service may, and so the folder above theirs can be gone, or another one
/// have its place; then it is made and opened anew.
final class WorkingFolders {
  /// Where they are: absolute, without symbolic links.
  let path: String
  /// The same as a descriptor, so that nobody can put another folder in its place.
  private(set) var descriptor: Int32
  /// Whether `path` may lead to another folder than `descriptor`.
  private var isInDoubt = false
  private var lastLeftover = 0

  /// Makes the folder at `path` if there is none; its parent must exist.
  init(at path: String) throws(SystemCallError) {
    if mkdir(path, 0o700) != 0 && errno != EEXIST {
      throw SystemCallError("mkdir \(path)", number: errno)
    }
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemCallError("open \(path)", number: errno) }
    guard let resolved = realpath(path, nil) else {
      let number = errno
      close(descriptor)
      throw SystemCallError("realpath \(path)", number: number)
    }
    self.path = String(cString: resolved)
    free(resolved)
  }

  deinit {
    close(descriptor)
  }

  /// Makes the folder of a call, mode 0700 less what the umask takes, and returns its path.
  func make(_ call: UInt64) throws(StartFailure) -> String {
    let name = "\(call)"
    if isInDoubt { try reopen() }
    var isMade = mkdirat(descriptor, name, 0o700) == 0
    if !isMade, errno == ENOENT {
      try reopen()
      isMade = mkdirat(descriptor, name, 0o700) == 0
    }
    // Of a call of the same number whose folder could not be put away.
    if !isMade, errno == EEXIST, putAway(name) { isMade = mkdirat(descriptor, name, 0o700) == 0 }
    guard isMade else { throw StartFailure(stage: .workingFolder, errorNumber: errno) }
    return "\(path)/\(name)"
  }

  /// A program was not found to be in the folder that was made for it: before the next is made, the
  /// folder above is opened anew.
  func doubt() {
    isInDoubt = true
  }

  /// Opens what `path` leads to now, and makes it if it is gone.
  private func reopen() throws(StartFailure) {
    isInDoubt = true
    if mkdir(path, 0o700) != 0 && errno != EEXIST {
      throw StartFailure(stage: .workingFolder, errorNumber: errno)
    }
    let opened = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard opened >= 0 else { throw StartFailure(stage: .workingFolder, errorNumber: errno) }
    close(descriptor)
    descriptor = opened
    isInDoubt = false
  }

  /// Removes the folder of a call that is over. Returns whether the sweeper is needed for it.
  func remove(_ call: UInt64) -> Bool {
    let name = "\(call)"
    if unlinkat(descriptor, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return false }
    return putAway(name)
  }

  /// Puts away what calls of an earlier process have left. Returns whether the sweeper is needed.
  func putAwayLeftovers() -> Bool {
    var isSweeperNeeded = false
    for name in FolderSweeper.names(in: descriptor) {
      if FolderSweeper.isLeftover(name) {
        isSweeperNeeded = true
      } else if name.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
        let text = String(decoding: name, as: UTF8.self)
        if unlinkat(descriptor, text, AT_REMOVEDIR) != 0, putAway(text) { isSweeperNeeded = true }
      }
    }
    return isSweeperNeeded
  }

  /// Renames a folder for the sweeper. Returns false if it cannot be done; then it stays until the
  /// next start.
  func putAway(_ name: String) -> Bool {
    // What another process has left may have the name.
    for _ in 0..<10_000 {
      lastLeftover += 1
      let leftover = "\(FolderSweeper.leftoverPrefix)\(lastLeftover)"
      if renameat(descriptor, name, descriptor, leftover) == 0 { return true }
      guard errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR else { return false }
    }
    return false
  }
}
