import Glibc

/// The process that removes what programs have left in their working folders: a tree may take long
/// to remove, and the one who owns the pool does not wait for disks.
///
/// It never follows a symbolic link, never enters a path of more than one component, and needs the
/// same memory and descriptors for a tree of any depth: a folder within a folder is first moved up
/// to the top, as one more leftover.
public enum FolderSweeper {
  /// What the names of leftovers begin with.
  static let leftoverPrefix = "gone."

  /// The number under which it gets the folder that it sweeps.
  static let folderDescriptor: Int32 = 3

  /// How often a folder is read again in which there is still, or again, something.
  private static let passesMax = 20

  /// Is the sweeper, in a process that was forked with `EntryPoint.sweeper`; ends with 1 if
  /// something could not be removed.
  public static func run() -> Never {
    Bootstrap.name("lido-sweeper")
    var sweep = Sweep(root: folderDescriptor)
    _exit(sweep.removeLeftovers() ? 0 : 1)
  }

  /// Removes a folder and all that is in it, in this process. Returns whether it is gone.
  public static func remove(_ path: String) -> Bool {
    guard let folders = try? WorkingFolders(at: path) else { return false }
    for name in names(in: folders.descriptor) where !isLeftover(name) {
      _ = folders.putAway(String(decoding: name, as: UTF8.self))
    }
    var sweep = Sweep(root: folders.descriptor)
    return sweep.removeLeftovers() && rmdir(path) == 0
  }

  /// Whether the sweeper removes what has this name.
  static func isLeftover(_ name: [UInt8]) -> Bool {
    name.starts(with: leftoverPrefix.utf8)
  }

  /// The names in a folder, in no order; empty if it cannot be read.
  static func names(in folder: Int32) -> [[UInt8]] {
    var names: [[UInt8]] = []
    forEachEntry(in: folder, ".") { _, name in
      names.append(Array(UnsafeRawBufferPointer(start: name, count: strlen(name))))
    }
    return names
  }

  /// Removes all leftovers in the folder `root`, the state being the number of the last that was
  /// moved up.
  struct Sweep {
    let root: Int32
    private var moved = 0

    init(root: Int32) {
      self.root = root
    }

    /// Returns whether none is left.
    mutating func removeLeftovers() -> Bool {
      while true {
        let names = FolderSweeper.names(in: root).filter(FolderSweeper.isLeftover)
        if names.isEmpty { return true }
        var done = moved
        var hasProgressed = false
        for name in names {
          if removeLeftover(name) { hasProgressed = true }
        }
        while done < moved {
          done += 1
          if removeLeftover(Array(movedName(done).utf8)) { hasProgressed = true }
        }
        if !hasProgressed { return false }
      }
    }

    private func movedName(_ number: Int) -> String {
      "\(FolderSweeper.leftoverPrefix)\(getpid()).\(number)"
    }

    /// Removes one leftover. Returns whether it is gone.
    private mutating func removeLeftover(_ name: [UInt8]) -> Bool {
      (name + [0]).withUnsafeBytes { bytes in
        let path = bytes.assumingMemoryBound(to: CChar.self).baseAddress!
        if unlinkat(root, path, 0) == 0 || unlinkat(root, path, AT_REMOVEDIR) == 0 { return true }
        // Whoever may not write to a folder can remove nothing from it.
        fchmodat(root, path, 0o700, AT_SYMLINK_NOFOLLOW)
        for _ in 0..<FolderSweeper.passesMax {
          var hasProgressed = false
          FolderSweeper.forEachEntry(in: root, path) { folder, entry in
            if removeOrMove(entry, of: folder) { hasProgressed = true }
          }
          if unlinkat(root, path, AT_REMOVEDIR) == 0 { return true }
          if !hasProgressed { return false }
        }
        return false
      }
    }

    /// Removes an entry of `folder`, or moves it up if it is a folder with something in it.
    private mutating func removeOrMove(_ entry: UnsafePointer<CChar>, of folder: Int32) -> Bool {
      if unlinkat(folder, entry, 0) == 0 || unlinkat(folder, entry, AT_REMOVEDIR) == 0 {
        return true
      }
      // A folder's parent changes, which is a change to the folder.
      fchmodat(folder, entry, 0o700, AT_SYMLINK_NOFOLLOW)
      for _ in 0..<1000 {
        moved += 1
        if renameat(folder, entry, root, movedName(moved)) == 0 { return true }
        // The name is that of another sweeper's leftover.
        guard errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR else { break }
      }
      return false
    }
  }

  /// Calls `body` for each entry of the folder `name` in `parent`, with a descriptor of it. What is
  /// removed meanwhile may hide others from this pass.
  private static func forEachEntry(
    in parent: Int32, _ name: UnsafePointer<CChar>,
    _ body: (_ folder: Int32, _ name: UnsafePointer<CChar>) -> Void
  ) {
    let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    guard let folder = fdopendir(descriptor) else {
      close(descriptor)
      return
    }
    defer { closedir(folder) }
    let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
    while let entry = readdir(folder) {
      let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
      if strcmp(name, ".") != 0 && strcmp(name, "..") != 0 { body(descriptor, name) }
    }
  }
}
