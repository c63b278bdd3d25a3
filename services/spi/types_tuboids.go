package spi

// TuboidSeriesInfo is the series that a tuboid belongs to: one run of the matcher over a device's images.
type TuboidSeriesInfo struct {
	Device      string   `json:"device"`
	Start       Datetime `json:"start_datetime"`
	End         Datetime `json:"end_datetime"`
	AlgoName    string   `json:"algo_name"`
	AlgoVersion string   `json:"algo_version"`
	NTuboids    int      `json:"n_tuboids"` // how many the series has; the server takes no more
	NImages     int      `json:"n_images"`  // that the matcher looked at
}

// TuboidSeries is a series as delete_tiled_tuboids gives it.
type TuboidSeries struct {
	ID int64 `json:"id"`
	TuboidSeriesInfo
	DatetimeCreated Datetime `json:"datetime_created"`
	APIVersion      *string  `json:"api_version"`
	APIUser         *string  `json:"api_user"`
}

// TuboidUpload is a tuboid to upload.
type TuboidUpload struct {
	TuboidID string // DEVICE.START.END.ALGOVERSION.NNNN, dates as YYYY-MM-DD_HH-MM-SS
	Series   TuboidSeriesInfo
	Metadata []byte // lines DEVICE.DATETIME,centre_real,centre_imag,scale, one a shot
	Tuboid   []byte // JPEG: the shots, tiled
	Context  []byte // JPEG: the whole picture of one shot
}

// Tuboid is a tracked insect, as the tuboid endpoints give it. The URLs are presigned, and empty for metadata.
type Tuboid struct {
	ID                int64    `json:"id"`
	ParentSeriesID    int64    `json:"parent_series_id"`
	TuboidID          string   `json:"tuboid_id"`
	IDInSeries        int      `json:"id_in_series"`
	Start             Datetime `json:"start_datetime"` // of the first shot
	End               Datetime `json:"end_datetime"`   // of the last shot
	NShots            int      `json:"n_shots"`
	AlgoNameSeries    string   `json:"algo_name_series"`
	AlgoVersionSeries string   `json:"algo_version_series"`
	NTuboidsSeries    int      `json:"n_tuboids_series"`
	DeviceSeries      string   `json:"device_series"`
	StartSeries       Datetime `json:"start_datetime_series"`
	EndSeries         Datetime `json:"end_datetime_series"`
	DatetimeCreated   Datetime `json:"datetime_created"`
	APIVersion        *string  `json:"api_version"`
	APIUser           *string  `json:"api_user"`
	MetadataURL       string   `json:"metadata,omitempty"`
	TuboidURL         string   `json:"tuboid,omitempty"`
	ContextURL        string   `json:"context,omitempty"`
}

// TuboidPart is what is asked for of tuboids.
type TuboidPart string

// The parts of tuboids.
const (
	TuboidMetadata TuboidPart = "metadata"
	TuboidData     TuboidPart = "data" // with the URLs of the objects
)

// NewLabel says what insect a tuboid shows.
type NewLabel struct {
	TuboidID    string  `json:"tuboid_id"`
	AlgoName    string  `json:"algo_name"`
	AlgoVersion string  `json:"algo_version"`
	Label       int     `json:"label"`
	Pattern     string  `json:"pattern"`
	Type        string  `json:"type"`
	Order       *string `json:"order,omitempty"`
	Family      *string `json:"family,omitempty"`
	Genus       *string `json:"genus,omitempty"`
	Species     *string `json:"species,omitempty"`
}

// Label is a label as the label endpoints give it. Absent values are nil.
type Label struct {
	ID              int64    `json:"id"`
	ParentTuboidID  int64    `json:"parent_tuboid_id"`
	AlgoName        string   `json:"algo_name"`
	AlgoVersion     string   `json:"algo_version"`
	Label           int      `json:"label"`
	Pattern         string   `json:"pattern"`
	Type            string   `json:"type"`
	Order           *string  `json:"order"`
	Family          *string  `json:"family"`
	Genus           *string  `json:"genus"`
	Species         *string  `json:"species"`
	DatetimeCreated Datetime `json:"datetime_created"`
	APIVersion      *string  `json:"api_version"`
	APIUser         *string  `json:"api_user"`
}
