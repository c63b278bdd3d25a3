// Package spi speaks the wire protocol of the Sticky Pi server: the types that cross the network, the typed error that
// every part of the server uses, the two date formats, and a Go client of the API's endpoints.
//
// A program makes one [Client] with [New] and uses it for everything, from as many goroutines as it likes: it keeps its
// connections, logs in by itself, renews its token, and sends again what failed for a reason that may pass. Each endpoint is
// a method:
//
//   - accounts: [Client.GetToken], [Client.GetUsers], [Client.PutUsers], [Client.DeleteUsers], [Client.ResetPassword],
//     [Client.GetMe];
//   - images: [Client.PutImage], [Client.PutImages], [Client.GetImages], [Client.GetImageSeries], [Client.DeleteImages], and
//     [Client.Fetch] for the pictures that their URLs lead to;
//   - what was found on them: [Client.PutAnnotations], [Client.GetAnnotations], [Client.GetAnnotationSeries];
//   - the work of detectors: [Client.LeaseImages], [Client.ReportFailures], [Client.GetFailures], [Client.RetryFailures],
//     [Client.GetBacklog];
//   - tracked insects: [Client.PutTuboid], [Client.GetTuboidSeries], [Client.DeleteTuboids], [Client.PutLabels],
//     [Client.GetLabels], [Client.GetShots];
//   - ML bundles: [Client.PushBundle], [Client.PullBundle], [Client.GetBundleFiles], [Client.GetBundleUploadLinks];
//   - projects: [Client.GetProjects], [Client.PutProjects], [Client.DeleteProjects], [Client.GetProjectPermissions],
//     [Client.PutProjectPermissions], [Client.GetProjectSeries], [Client.PutProjectSeries];
//   - what there is to draw and to watch: [Client.GetPlot], [Client.GetDevices], [Client.Events].
//
// Long replies are sequences, read as they come; [Collect] makes a slice of one. Errors are [Error]s, of which [CodeOf] tells
// the kind.
//
// It may be imported by the server, the viewer, the detector worker and by programs of others. It imports nothing of the
// server; of this project it may import only services/kit.
package spi
