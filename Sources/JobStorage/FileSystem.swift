/// The only door to the disk: everything that this target does to a file passes here, so that a
/// simulated file system can lose, tear and refuse what a real one may.
///
/// Every call blocks until the kernel answers. Calls come from one thread. Each throws
/// `callFailed` unless it says otherwise, and leaves the files as they were.
public protocol FileSystem: AnyObject {
  /// Makes `path` a folder that only its owner may enter (0700), if it is not there; its parent
  /// must be. Its name is synced, also if it was there.
  func makeDirectory(_ path: String) throws(StorageError)

  /// The names in a folder, in no order, without `.` and `..`.
  func list(_ directory: String) throws(StorageError) -> [String]

  /// The length of a file, in bytes.
  func size(_ path: String) throws(StorageError) -> Int

  /// Opens a file. No child process inherits it.
  func open(_ path: String, for use: OpenFile.Use) throws(StorageError) -> OpenFile

  /// Reads bytes from `offset` on: as many as `buffer` takes unless the file ends before; 0 at the
  /// end.
  func read(
    _ file: OpenFile, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int

  /// Writes at the end of the file with one call, and answers how many bytes were taken: at least
  /// one (of at least one), possibly not all.
  func append(_ file: OpenFile, _ bytes: UnsafeRawBufferPointer) throws(StorageError) -> Int

  /// Cuts a file to its first `length` bytes.
  func truncate(_ file: OpenFile, to length: Int) throws(StorageError)

  /// Returns when the file's bytes and length are on the disk (fdatasync).
  ///
  /// - Throws: `syncFailed`; the file's content on the disk is then unknown for good.
  func sync(_ file: OpenFile) throws(StorageError)

  /// Gives the file back. What it could tell of errors, a sync tells too.
  func close(_ file: OpenFile)

  /// Gives a file another name in one step, in the place of the file that had it.
  func rename(_ path: String, to newPath: String) throws(StorageError)

  /// Removes a file's name; a name that is not there is no error.
  func remove(_ path: String) throws(StorageError)

  /// Returns when the names in a folder are on the disk.
  ///
  /// - Throws: `syncFailed`, whatever the reason.
  func syncDirectory(_ path: String) throws(StorageError)

  /// Takes the lock of a file, made if it is not there, writes `holder` into it and keeps the lock
  /// until the file is closed or the process ends, however it ends.
  ///
  /// - Throws: `inUse`, with what the holder wrote in the sentence.
  func lock(_ path: String, holder: String) throws(StorageError) -> OpenFile

  /// Whether `path` is the name of an open file, and not of another or of none.
  func isNamed(_ file: OpenFile, _ path: String) throws(StorageError) -> Bool

  /// Starts the place where syncs are done while the caller goes on.
  func startBackgroundSync() throws(StorageError) -> any BackgroundSync
}
