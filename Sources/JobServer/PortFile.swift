import Glibc

/// The file that tells the port to whoever started the service: there when it is ready, gone when
/// it ends.
enum PortFile {
  /// The file cannot be written; the reason is the system's, in words.
  struct Unwritable: Error, Equatable {
    let reason: String

    fileprivate static var fromSystem: Unwritable {
      Unwritable(reason: String(cString: strerror(errno)))
    }
  }

  /// Finds out whether `path` can be written later, without leaving anything behind.
  static func check(_ path: String) throws(Unwritable) {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      throw Unwritable(reason: "it is a folder")
    }
    fclose(try open(path))
    unlink(temporary(path))
  }

  /// Writes the port and a line feed. Whoever waits for the file never sees it half written.
  static func write(_ port: Int, to path: String) throws(Unwritable) {
    let file = try open(path)
    let isWritten = fputs("\(port)\n", file) >= 0
    guard fclose(file) == 0, isWritten, rename(temporary(path), path) == 0 else {
      throw .fromSystem
    }
  }

  /// Removes the file, if it is there.
  static func remove(_ path: String) {
    unlink(path)
  }

  private static func temporary(_ path: String) -> String { path + ".tmp" }

  private static func open(_ path: String) throws(Unwritable) -> UnsafeMutablePointer<FILE> {
    guard let file = fopen(temporary(path), "we") else { throw .fromSystem }
    return file
  }
}
